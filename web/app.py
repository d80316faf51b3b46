"""The Flask application: one blueprint for each area, and what holds for all of them."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from flask import Flask
from flask.typing import TeardownCallable

from jph.paths import static_dir, templates_dir
from web import api_v1, commands, diagrams, grafana, navigation, old_pages, pages, table
from web.alerts import editor as alerts_editor
from web.alerts import views as alerts_views
from web.backup import page as backup_page
from web.component import views as component_views
from web.configuration import revision_pages, settings
from web.context import CodifierConverter, NumberConverter
from web.dataflow import page as dataflow
from web.gateways import page as gateways
from web.graphs import files as graph_files
from web.graphs import saved_views as graph_saved_views
from web.graphs import views as graph_views
from web.live import endpoint as live
from web.logs import views as log_views
from web.migrations import connect
from web.network import page as network
from web.people import (
    access,
    accounts,
    audit_page,
    first_run,
    my_sessions,
    token_pages,
)
from web.people import page as people
from web.programs import api, metrics, old_graphs
from web.serving import error_pages, origins, readiness, security
from web.serving.compression import compress
from web.site import Site

log = logging.getLogger(__name__)

SESSION_S = 30 * 24 * 3600
MOST_BODY = 16 * 1024  # bytes: no form of ours comes near
VENDOR_FILES = ("pico/pico.min.css", "uplot/uPlot.iife.min.js", "uplot/uPlot.min.css")
# Each has a blueprint.
AREAS = (
    live,
    api,
    api_v1,
    grafana,
    metrics,
    readiness,
    old_graphs,
    old_pages,
    commands,
    diagrams,
    accounts,
    error_pages,
    people,
    token_pages,
    my_sessions,
    audit_page,
    backup_page,
    first_run,
    pages,
    component_views,
    alerts_views,
    alerts_editor,
    network,
    graph_views,
    graph_saved_views,
    graph_files,
    settings,
    revision_pages,
    table,
    log_views,
    gateways,
    dataflow,
)

Teardown = TypeVar("Teardown", bound=TeardownCallable)


class Application(Flask):
    """The Flask application of one home directory: of its pages, or of `jph user`.

    It takes its database when it is first needed, see web/people/database.py. Flask refuses
    extensions after the first request, since requests under way could miss them; a teardown never
    does.
    """

    def __init__(self, home: Path) -> None:
        super().__init__("web", static_folder=static_dir(), template_folder=str(templates_dir()))
        self.config["DATABASE"] = home.resolve() / "web.sqlite"

    def teardown_appcontext(self, f: Teardown) -> Teardown:
        """Call a function at each teardown; it may be given at any time."""
        self.teardown_appcontext_funcs.append(f)
        return f


def create_app(site: Site, *, port: int, host: str, allowed_hosts: tuple[str, ...] = ()) -> Flask:
    """Return the application for one site.

    Args:
        port: listened on; part of the cookie's name, since browsers share cookies between ports.
        allowed_hosts: further names that requests may use for this server.
    """
    app = Application(site.home)
    key_path = site.home / "web.key"
    key = security.secret_key(key_path)
    database: Path = app.config["DATABASE"]
    kept = site.channel.process.kept_files
    kept.keep(key_path, lambda: security.restore_key(key_path, key))
    kept.keep(database, lambda: _make_database(database))
    app.config.update(
        SECRET_KEY=key,
        SESSION_COOKIE_NAME=f"jph-{port}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_S,
        MAX_CONTENT_LENGTH=MOST_BODY,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["jph"] = site
    app.url_map.converters["codifier"] = CodifierConverter
    app.url_map.converters["int"] = NumberConverter
    app.url_map.merge_slashes = False
    origins.init_app(app)
    security.protect(app, security.host_names(host, allowed_hosts))
    app.after_request(compress)
    accounts.init_app(app)
    access.init_app(app)
    navigation.init_app(app)
    for module in AREAS:
        app.register_blueprint(module.blueprint)
    vendor = frozenset(name for name in VENDOR_FILES if (static_dir() / "vendor" / name).is_file())
    if len(vendor) < len(VENDOR_FILES):
        log.warning(
            "%s lacks the browser libraries: pages are plain and have no charts; "
            "run scripts/vendor, and for other machines scripts/wheel",
            static_dir() / "vendor",
        )

    def common() -> dict[str, object]:
        return {
            "vendor": vendor,
            "network_name": site.config.document.get("Name"),
            "csrf_token": security.csrf_token,
            "status_words": pages.STATUS_WORDS,
        }

    app.context_processor(common)
    app.add_template_filter(utc)
    error_pages.init_app(app)
    return app


def _make_database(path: Path) -> None:
    connect(path).close()


def utc(time_ms: int) -> str:
    """Return a time as text, for a browser without scripts; the others show their own zone."""
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):  # beyond the year 9999, which the bus can carry
        return f"{time_ms} ms"
