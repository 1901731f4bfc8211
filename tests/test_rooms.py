"""The order of the rooms: folders name their public things and their purpose, names are unique, no room is crowded."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("flows", "tasks", "deployments", "model_compression", "quality_gates", "edge_runtime")
MOST_FILES = 14
LONGEST = 350


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))}
PACKAGES = {module for module, path in MODULES.items() if path.name == "__init__.py"}
INNER = sorted(package for package in PACKAGES if "." in package)
OPEN = {"deployments.workloads", "flows.demo"}  # folders of examples: each file stands for itself


def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imports(module: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, name.name) for name in node.names)


def public(package: str) -> set[str]:
    for node in tree_of(package).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_the_rooms_were_found() -> None:
    assert len(MODULES) > 100 and {"tasks.store", "quality_gates.gates"} <= PACKAGES


@pytest.mark.parametrize("module", sorted(MODULES))
def test_others_take_the_public_names_of_a_folder_alone(module: str) -> None:
    private = [
        f"{folder} does not name {name} in its __all__"
        for folder, name in imports(module)
        if folder in INNER and folder not in OPEN and not f"{module}.".startswith(f"{folder}.")
        if name not in public(folder)
    ]
    assert not private


@pytest.mark.parametrize("package", [package for package in INNER if package not in OPEN])
def test_a_folder_names_its_public_things_and_says_what_it_is_for(package: str) -> None:
    tree = tree_of(package)
    assert public(package)
    assert len((ast.get_docstring(tree) or "").split()) >= 20, "say what it is for, what comes in and what goes out"
    given = {name.asname or name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert public(package) <= given


@pytest.mark.parametrize("room", ROOMS)
def test_a_files_name_is_unique_in_its_room(room: str) -> None:
    places = defaultdict(list)
    for module, path in MODULES.items():
        if module.partition(".")[0] == room and path.stem not in {"__init__", "__main__"}:
            places[path.stem].append(module)
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_a_public_types_name_is_unique_in_the_house() -> None:
    places = defaultdict(set)
    for module in MODULES:
        for node in tree_of(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(module)
    assert not {name: sorted(where) for name, where in places.items() if len(where) > 1}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_file_can_be_read_in_one_sitting(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_folder_is_not_crowded(package: str) -> None:
    files = [path for path in MODULES[package].parent.glob("*.py") if path.name not in {"__init__.py", "__main__.py"}]
    assert len(files) <= MOST_FILES
