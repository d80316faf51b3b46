"""The pages of the boards: a card for each, what they reported last, and the switch of the LED."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, render_template, request
from flask import send_from_directory as send
from flask.typing import ResponseReturnValue

from gateways.esp32.boards import Board
from gateways.esp32.pages.live import Live, as_json
from gateways.esp32.pages.people import protect
from gateways.esp32.protocol import NAME_BYTES
from gateways.esp32.service import GoneError, Service
from jph.errors import StoreError
from jph.paths import static_dir, templates_dir

FILES = ("css/jph.css", "css/boards.css", "js/boards.js")
ON, OFF = ("1", "on", "true"), ("0", "off", "false")
MOST_BODY = 16 << 10
MOST_BOARDS = 50  # of one page of the history


def pages(service: Service, token: str, host: str, password: str | None) -> Flask:
    """Return the application of the pages; see `app_of`."""
    app = Flask("boards", static_folder=None, template_folder=str(templates_dir()))
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY
    app.jinja_env.filters["time"] = _time
    protect(app, token, host, password)
    live = Live(service)

    @app.get("/")
    def front() -> ResponseReturnValue:
        return redirect("/capteurs")

    @app.get("/static/<path:name>")
    def file(name: str) -> Response:
        if name not in FILES:
            abort(404)
        found = send(static_dir(), name, max_age=60)
        return found

    @app.get("/capteurs")
    def boards() -> str:
        return _cards(service)

    @app.get("/historique")
    def history() -> str:
        boards = service.boards()
        pages = max(1, math.ceil(len(boards) / MOST_BOARDS))
        page = min(max(1, request.args.get("page", 1, int)), pages)
        some = []
        for board in boards[(page - 1) * MOST_BOARDS : page * MOST_BOARDS]:
            with suppress(GoneError):  # somebody has just forgotten it
                some.append((board, service.history(board.name)))
        return render_template(
            "boards/historique.html", boards=some, page=page, pages=pages, here="historique"
        )

    @app.get("/live")
    def stream() -> Response:
        return live.stream()

    @app.route("/led/<name>", methods=["GET", "POST"])
    def switch(name: str) -> ResponseReturnValue:
        given = request.form if request.method == "POST" else request.args
        command, session = given.get("cmd", "").lower(), given.get("ssnid", "")
        if command not in ON + OFF or not session:
            abort(400, "cmd must be 1 or 0, and ssnid the session of the board.")
        return jsonify(as_json(service.switch(name, session, command in ON)))

    @app.post("/capteurs/<name>/name")
    def rename(name: str) -> ResponseReturnValue:
        try:
            service.rename(name, request.form.get("name", "").strip())
        except ValueError as error:
            return _cards(service, f"{name} keeps its name: {error}."), 400
        return redirect("/capteurs", 303)

    @app.post("/capteurs/<name>/forget")
    def forget(name: str) -> ResponseReturnValue:
        service.forget(name)
        return redirect("/capteurs", 303)

    for error, code in ((GoneError, 404), (TimeoutError, 504), (StoreError, 503)):
        app.register_error_handler(error, lambda found, code=code: _plain(str(found), code))
    for code in (400, 403, 421):
        app.register_error_handler(code, lambda error, code=code: _plain(error.description, code))
    app.register_error_handler(404, lambda error: _plain("There is no such page.", 404))
    return app


def _cards(service: Service, said: str = "") -> str:
    return render_template(
        "boards/capteurs.html",
        boards=service.boards(),
        blank=Board("", "", "", "", "left", 0, 0, 0),
        said=said,
        most=NAME_BYTES,
        here="capteurs",
    )


def _plain(text: str, code: int) -> Response:
    return Response(f"{text}\n", code, mimetype="text/plain")


def _time(time_ms: Any) -> str:
    """Return a time as a page shows it that runs no script."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
