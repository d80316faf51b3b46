"""The map of the house: which folder may import which, and how big a module grows."""

import ast
import subprocess
import sys
import textwrap

import pytest

from tests.rooms import (
    FOLDERS,
    MODULES,
    ROOT,
    circle_in,
    floors,
    imports,
    module_graph,
    name_of,
    picture,
    room_graph,
)

MOST_LINES = 600  # scripts/check gives a hint at 400


def test_the_modules_are_found():
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} >= {"jph", "sensors", "web"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path):
    folder = path.relative_to(ROOT).parts[0]
    allowed = {folder, "jph"} if folder != "tools" else set(FOLDERS)
    reached = {name.split(".")[0] for name in imports(path)} & {*FOLDERS, "tests", "bench"}
    assert reached <= allowed


def test_no_modules_import_each_other_in_a_circle():
    assert circle_in(module_graph()) == []


def test_the_rooms_of_the_core_stand_on_floors():
    assert circle_in(room_graph()) == []
    level = {room: number for number, rooms in enumerate(floors()) for room in rooms}
    assert level["bus/"] < level["config/"] < level["stores/"] < level["node/"] < level["jph"]
    assert level["errors"] == level["clock"] == 0


def test_a_circle_would_be_found():
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) != []


def test_the_page_on_the_architecture_shows_the_rooms_as_they_are():
    assert picture() in (ROOT / "docs" / "architecture.md").read_text()


def test_the_page_on_the_architecture_names_the_rooms_of_the_web_server():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {path.parent.name for path in (ROOT / "web").glob("*/__init__.py")}
    assert rooms > {"live", "people"}
    assert [room for room in sorted(rooms) if f"`{room}/`" not in page] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_stay_small(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_say_what_they_are_for(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_folders_of_modules_are_packages(path):
    assert (path.parent / "__init__.py").exists()


def test_the_core_imports_no_web_package_and_a_database_only_in_its_store():
    web = {"flask", "flask_login", "flask_sqlalchemy", "sqlalchemy", "waitress"}
    databases = {"psycopg2", "redis", "sqlite3"}
    for path in MODULES:
        if path.is_relative_to(ROOT / "jph"):
            used = {name.split(".")[0] for name in imports(path)} & (web | databases)
            allowed = databases if path.is_relative_to(ROOT / "jph" / "stores") else set()
            assert used <= allowed, name_of(path)


def test_the_core_does_without_compiled_packages():
    compiled = {"pydantic", "hiredis", "bcrypt", "greenlet"}
    for path in MODULES:
        if path.is_relative_to(ROOT / "jph"):
            assert not {name.split(".")[0] for name in imports(path)} & compiled, name_of(path)


def test_only_one_module_imports_urllib3():
    using = [path for path in MODULES if {n.split(".")[0] for n in imports(path)} & {"urllib3"}]
    assert [name_of(path) for path in using] == ["jph/http.py"]


def test_importing_jph_starts_no_thread_and_opens_no_socket():
    program = """
        import sys

        def refuse(event, arguments):
            if event in ("socket.__new__", "subprocess.Popen", "os.putenv"):
                raise SystemExit(f"importing jph: {event} {arguments}")

        sys.addaudithook(refuse)
        import jph
        import threading

        heavy = {"pydantic", "flask", "redis", "sqlalchemy", "sqlite3", "asyncio", "urllib3"}
        print(threading.active_count(), sorted(heavy & set(sys.modules)))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("1 []\n", "", 0)
