"""The layout of the tree: folders are used through their packages, and tests and their helpers stand alone."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("flows", "tasks", "deployments", "model_compression", "quality_gates", "edge_runtime")
# Their modules are chosen by path: workloads in recipes, programs of the demo, where one must not load the others.
OPEN = ("deployments.workloads", "flows.demo")
TESTED = sorted(path.name for path in (ROOT / "tests").iterdir() if (path / "__init__.py").exists())


def _imported(source: str) -> Iterator[str]:
    """Yield what a module imports, by full dotted name: modules, and names as `module.name`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts)


def _inside(name: str, root: Path) -> str | None:
    """Return the folder whose inner module or private name this is: a package two levels deep or deeper."""
    *parts, last = name.split(".")
    for depth in range(2, len(parts) + 1):
        folder = root.joinpath(*parts[:depth])
        if not (folder / "__init__.py").exists():
            return None
        inner = parts[depth] if depth < len(parts) else last
        package = (folder / inner / "__init__.py").exists()
        if not package and ((folder / f"{inner}.py").exists() or inner.startswith("_")):
            return ".".join(parts[:depth])
    return None


def _trespasses(root: Path, rooms: tuple[str, ...]) -> list[str]:
    """Return each import of a folder's inner module by a module outside the folder."""
    found = []
    for path in sorted(path for room in rooms for path in (root / room).rglob("*.py")):
        here = _module(path, root)
        for name in _imported(path.read_text()):
            folder = _inside(name, root)
            if folder is not None and folder not in OPEN and not here.startswith(f"{folder}."):
                found.append(f"{here} imports {name}")
    return found


def test_a_folder_is_used_through_its_package() -> None:
    assert _trespasses(ROOT, ROOMS) == []


def test_an_inner_module_imported_from_outside_is_noticed(tmp_path: Path) -> None:
    for name, text in {
        "room/__init__.py": "",
        "room/top.py": "from room.folder import public\nfrom room.folder.inner import made\nimport room.folder.inner\n",
        "room/other.py": "from room.folder import inner, _private\nfrom room.folder.deeper import public\n",
        "room/folder/__init__.py": "from room.folder.inner import public\n",
        "room/folder/inner.py": "from room.folder.deeper.inmost import x\n",
        "room/folder/deeper/__init__.py": "",
        "room/folder/deeper/inmost.py": "from room.folder.inner import made\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _trespasses(tmp_path, ("room",)) == [
        "room.folder.inner imports room.folder.deeper.inmost.x",
        "room.other imports room.folder.inner",
        "room.other imports room.folder._private",
        "room.top imports room.folder.inner.made",
        "room.top imports room.folder.inner",
    ]


@pytest.mark.parametrize("room", TESTED)
def test_no_test_module_imports_another(room: str) -> None:
    tests = {_module(path, ROOT) for path in (ROOT / "tests").rglob("test_*.py")}
    found = [
        f"{path.name} imports {name}"
        for path in sorted((ROOT / "tests" / room).rglob("*.py"))
        for name in _imported(path.read_text())
        if {name, name.rpartition(".")[0]} & tests
    ]
    assert found == []


@pytest.mark.parametrize("room", TESTED)
def test_helpers_of_tests_have_names_of_their_own(room: str) -> None:
    helpers = [
        path.stem
        for path in (ROOT / "tests" / room).rglob("*.py")
        if not path.stem.startswith(("test_", "__")) and path.stem != "conftest"
    ]
    assert [name for name, count in Counter(helpers).items() if count > 1] == []
