"""The rooms' import rule, and the size of modules, held by reading the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES_MAX = 400
FUNCTION_LINES_MAX = 60
ARGUMENTS_MAX = 7

ROOMS = (
    "cli",
    "demo",
    "bench",
    "toolbox",
    "service",
    "evaluation",
    "door",
    "fleet",
    "mqtt",
    "outbox",
    "security",
    "gallery",
    "capture",
    "inference",
    "recognition",
    "contract",
    "settings",
    "base",
)
"""From the top to the bottom; a room may import those below it and itself."""

PLAIN_ROOMS = {
    "recognition": {"numpy", "cv2"},
    "contract": {"pydantic", "pydantic_core", "yaml"},
    "settings": {"pydantic", "pydantic_core", "yaml"},
    "base": set(),
}
"""What these import besides the standard library and `base`; they import no other room either. The
contract writes its AsyncAPI document as YAML."""

HALVES = {
    "fleet/protocol": {"fleet.protocol"},
    "fleet/device": {"fleet.protocol", "fleet.device"},
    "fleet/admin": {"fleet.protocol", "fleet.admin"},
}
"""What these may import of their own room: a device knows nothing of the administrator."""

SOURCES = sorted((ROOT / "edgeface").rglob("*.py"))
MEASURED = [
    path
    for folder in ("edgeface", "models/training", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            if node.module == "edgeface":
                names = [f"edgeface.{alias.name}" for alias in node.names]
                yield from ((node.lineno, name) for name in names if _is_module(name))
            else:
                yield node.lineno, node.module


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def broken_rules(path: Path, room: str) -> list[str]:
    """What `path`, a module of `room`, imports against the rule."""
    below = ROOMS[ROOMS.index(room) :]
    broken = []
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] == "edgeface":
            allowed = (room, "base") if room in PLAIN_ROOMS else below
            if name != "edgeface" and parts[1] not in allowed:
                broken.append(f"{path.relative_to(ROOT)}:{line}: {room} imports {name}")
        elif room in PLAIN_ROOMS and parts[0] not in sys.stdlib_module_names | PLAIN_ROOMS[room]:
            broken.append(f"{path.relative_to(ROOT)}:{line}: {room} imports {name}")
    return broken


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    paths = [path for path in SOURCES if path.is_relative_to(ROOT / "edgeface" / room)]
    assert paths
    assert [rule for path in paths for rule in broken_rules(path, room)] == []


def test_every_module_is_in_a_room() -> None:
    outside = {path.name for path in SOURCES if path.parent == ROOT / "edgeface"}
    assert outside == {"__init__.py", "__main__.py"}
    rooms = {path.relative_to(ROOT / "edgeface").parts[0] for path in SOURCES}
    assert rooms - outside == set(ROOMS)


def test_the_rule_is_noticed_when_it_is_broken() -> None:
    inside = ROOT / "edgeface" / "capture"
    assert broken_rules(inside / "slot.py", "capture") == []
    assert broken_rules(ROOT / "edgeface" / "cli" / "graph_drawing.py", "capture") == []
    assert broken_rules(ROOT / "edgeface" / "cli" / "main.py", "settings") != []


@pytest.mark.parametrize("half", HALVES)
def test_the_fleets_device_and_administrator_meet_in_the_protocol_alone(half: str) -> None:
    room = half.partition("/")[0]
    crossing = [
        f"{path.relative_to(ROOT)}:{line}: imports {name}"
        for path in (ROOT / "edgeface" / half).glob("*.py")
        for line, name in imports(path)
        if name.startswith(f"edgeface.{room}")
        and ".".join(name.split(".")[1:3]) not in HALVES[half]
    ]
    assert crossing == []


def circles(arrows: Mapping[str, set[str]]) -> list[tuple[str, ...]]:
    """The groups of modules that import one another, each sorted; none where there is no circle."""
    reached = {name: set(targets) for name, targets in arrows.items()}
    for middle in arrows:
        for targets in reached.values():
            if middle in targets:
                targets |= reached[middle]
    return sorted(
        {
            tuple(sorted(other for other in targets if name in reached.get(other, ())))
            for name, targets in reached.items()
            if name in targets
        }
    )


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside functions and behind TYPE_CHECKING count."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [("b", "c")]
    arrows = {_name(path): set(_modules(path)) for path in SOURCES}
    assert circles(arrows) == []


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _modules(path: Path) -> Iterator[str]:
    """Every module of ours that `path` imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("edgeface."))
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("edgeface"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _is_module(inner) else str(node.module)


@pytest.mark.parametrize("vendor", ["picamera2", "libcamera", "ai_edge_litert", "tflite_runtime"])
def test_vendor_libraries_are_imported_where_they_are_used(vendor: str) -> None:
    top = []
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                names.append(getattr(node, "module", None) or "")
                if any(name.split(".")[0] == vendor for name in names):
                    top.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert top == []


def test_no_module_is_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in MEASURED
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert long == {}


def test_no_function_is_long_and_no_constructor_takes_much() -> None:
    long = []
    for path in [path for path in MEASURED if not path.is_relative_to(ROOT / "tests")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            taken = len(node.args.args) + len(node.args.kwonlyargs) - 1
            if lines > FUNCTION_LINES_MAX or (node.name == "__init__" and taken > ARGUMENTS_MAX):
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert long == []


def test_a_name_means_one_thing() -> None:
    """Classes everywhere; modules but for verbs and sections, which are called as their room's."""
    classes: dict[str, list[str]] = {}
    modules: dict[str, list[str]] = {}
    for path in SOURCES:
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(name)
        if path.stem not in {"__init__", "__main__"} and path.parts[-2] not in {"cli", "settings"}:
            modules.setdefault(path.stem, []).append(name)
    assert {name: where for name, where in classes.items() if len(where) > 1} == {}
    assert {name: where for name, where in modules.items() if len(where) > 1} == {}


HEAVY = {"numpy", "cv2", "ai_edge_litert", "tflite_runtime", "edgeface.settings"}


@pytest.mark.parametrize(
    ("room", "unwanted"),
    [
        ("base", {*HEAVY, "pydantic", "yaml", "paho", "cryptography", "edgeface.contract"}),
        ("contract", {*HEAVY, "paho", "cryptography", "edgeface.security"}),
        ("door", HEAVY),
    ],
)
def test_a_room_loads_no_more_than_it_needs(room: str, unwanted: set[str]) -> None:
    """In an interpreter of its own: what an import brings along counts as well."""
    modules = [_name(path) for path in SOURCES if path.is_relative_to(ROOT / "edgeface" / room)]
    program = f"import sys, {', '.join(modules)}; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert unwanted & set(done.stdout.split()) == set()


def test_the_package_loads_nothing_before_a_name_of_it_is_used() -> None:
    program = "import sys, edgeface; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert {name for name in loaded if name.startswith("edgeface")} == {"edgeface"}
    assert HEAVY & set(loaded) == set()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_itself_loads_nothing(room: str) -> None:
    tree = ast.parse((ROOT / "edgeface" / room / "__init__.py").read_text())
    assert [type(node).__name__ for node in tree.body] == ["Expr"], "a docstring and no more"
