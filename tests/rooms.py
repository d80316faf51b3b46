"""The house as its imports draw it: `python -m tests.rooms` prints the floors of jph/.

A room is a folder of modules in jph/, or a module at its top. Each stands one floor above the
highest of the rooms that it imports; imports inside functions and for type checkers count, too.
"""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("jph", "sensors", "collectors", "gateways", "web", "tools")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

Graph = dict[str, set[str]]


def name_of(path: Path) -> str:
    """Return the path of a module below the root."""
    return str(path.relative_to(ROOT))


def dotted(path: Path) -> str:
    """Return the name by which a module is imported."""
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: Path) -> Iterator[str]:
    """Yield the name of each module that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in NAMES else node.module


NAMES = {dotted(path): path for path in MODULES}


def module_graph() -> Graph:
    """Return which of our modules each of our modules imports."""
    return {
        name: {found for found in imports(path) if found in NAMES} - {name}
        for name, path in NAMES.items()
    }


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Return a circle of a graph, its first name again at the end; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room_of(module: str) -> str:
    """Return the room of a module of jph/; jph itself is the door."""
    parts = module.split(".")
    if len(parts) == 1:
        return "jph"
    return f"{parts[1]}/" if (ROOT / "jph" / parts[1]).is_dir() else parts[1]


def room_graph() -> Graph:
    """Return which rooms of jph/ each room imports."""
    rooms: Graph = {}
    for module, imported in module_graph().items():
        if module.split(".")[0] == "jph":
            room = rooms.setdefault(room_of(module), set())
            room.update(room_of(name) for name in imported if name.startswith("jph."))
    return {room: others - {room} for room, others in rooms.items()}


def floors() -> list[list[str]]:
    """Return the rooms of jph/ floor by floor, the ground floor first."""
    graph = room_graph()
    level: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        level[room] = max((level[other] + 1 for other in graph[room]), default=0)
    return [
        sorted(room for room in level if level[room] == floor)
        for floor in range(max(level.values()) + 1)
    ]


def picture() -> str:
    """Return the floors as text, the upper ones first, each room with the rooms that it imports."""
    graph = room_graph()
    lines = []
    for number, rooms in reversed(list(enumerate(floors()))):
        head = f"floor {number}"
        if number == 0:
            lines.append(f"{head}  {'  '.join(rooms)}")
            break
        for room in rooms:
            lines.append(f"{head:7}  {room:9} imports {', '.join(sorted(graph[room]))}")
            head = ""
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(picture())
