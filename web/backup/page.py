"""The page of backup and restore, for admins."""

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from jph.errors import ConfigError, JphError, StoreError
from web.backup import content, upload, writing
from web.context import site
from web.history.long_history import begun, streamed
from web.people import audit
from web.people.access import Role, needs, who
from web.serving.limits import MOST_BODY

blueprint = Blueprint("backup", __name__, url_prefix="/settings/backup")

CHUNK = 64 * 1024
MOST_FILE = MOST_BODY - 64 * 1024  # bytes: the rest of a form is small


@blueprint.url_value_preprocessor
def allow_files(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Let a backup be sent here."""
    request.max_content_length = MOST_BODY


@blueprint.get("")
@needs(Role.ADMIN)
def page() -> str:
    """Show what can be done."""
    upload.remove_left(site().home)
    return _page()


@blueprint.get("/file")
@needs(Role.ADMIN)
def download() -> Response:
    """Send a backup; ?history=1 with the history, if that is in a file."""
    here = site()
    history = content.history_file(here.config, here.home) if _wants_history() else None
    try:
        config = here.keeper.file.read()
        pieces = begun(_pieces(here.home, config, history))
    except (ConfigError, StoreError) as error:
        abort(503, f"No backup can be made now: {error}")
    audit.note("backup", "with the history" if history else "")
    name = f"jph-{time.strftime('%Y-%m-%d')}.jph"
    return streamed(here, pieces, "application/gzip", name, packs=False)


@blueprint.post("/part")
@needs(Role.ADMIN)
def part() -> ResponseReturnValue:
    """Take a part of a backup that is to be restored; ?at= is its place, from 0 on."""
    data = request.get_data(cache=False)
    try:
        at = int(request.args["at"])
        if at < 0 or not 0 < len(data) <= upload.MOST_PART:
            raise ValueError("This is no part of a backup.")
        there = upload.add(upload.path_of(site().home, who()), at, data)
    except (KeyError, ValueError) as error:
        return jsonify({"error": str(error)}), 409
    except StoreError as error:
        return jsonify({"error": str(error)}), 503
    return jsonify({"there": there})


@contextmanager
def _given() -> Iterator[tuple[IO[bytes], str]]:
    """Give what was sent, in parts before or as the file of this form, and the name of its file."""
    given = request.files.get("file")
    path = upload.path_of(site().home, who())
    if request.form.get("sent"):
        try:
            with open(path, "rb") as file:
                yield file, request.form.get("name", "")
        finally:
            path.unlink(missing_ok=True)
    elif given is not None and given.filename:
        yield given.stream, given.filename
    else:
        yield io.BytesIO(), ""


@blueprint.post("/restore")
@needs(Role.ADMIN)
def restore() -> ResponseReturnValue:
    """Take a backup back; everybody has to sign in again."""
    try:
        with _given() as (stream, name):
            if not name:
                return _page("Choose the file of a backup first."), 400
            return _restore(stream, name)
    except FileNotFoundError:
        return _page("The parts of the file are not there any more: send it again."), 409


def _restore(stream: IO[bytes], name: str) -> ResponseReturnValue:
    from web.backup import restoring

    here = site()
    keeper = here.keeper
    if reason := keeper.file.why_not():
        return _page(f"Nothing has changed. {reason}"), 409
    try:
        with restoring.unpacked(stream, here.home, history=False) as backup:
            kept = restoring.keep(here.home, keeper.file.read())
            restoring.apply(backup, here.home)
            keeper.look()
            keeper.save(backup.config.decode("utf-8-sig"), who(), "restored from a backup")
    except JphError as error:
        return _page(f"Not done: {error}"), 409
    audit.note("restore", name[:200], f"what was there is in {kept.name}")
    flash(f"The backup is restored. What was there before is in {kept.name} of the home directory.")
    return redirect(url_for("pages.dashboard"), 303)


def _page(error: str = "") -> str:
    here = site()
    history = content.history_file(here.config, here.home)
    size = 0
    if history is not None and history.exists():
        found = writing.large(here.home, history, whole=True)
        size = sum(path.stat().st_size for _, path in found)
    return render_template(
        "backup.html",
        error=error,
        size=size,
        is_elsewhere=history is None and here.history_place() is not None,
        most=MOST_FILE,
        home=here.home,
    )


def _wants_history() -> bool:
    return request.args.get("history") == "1"


def _pieces(home: Path, config: bytes, history: Path | None) -> Iterator[bytes]:
    """Yield the bytes of a backup as a process of its own writes them.

    Raises:
        StoreError: it failed.
    """
    command = [sys.executable, "-m", "web.backup", str(home)]
    command += [str(history)] if history is not None else []
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin and process.stdout and process.stderr
    try:
        process.stdin.write(config)
        process.stdin.close()
        while piece := process.stdout.read1(CHUNK):  # type: ignore[attr-defined]
            yield piece
        reason = process.stderr.read().decode("utf-8", "replace").strip()
        if process.wait():
            raise StoreError(reason or "the process that writes it was killed")
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            stream.close()
