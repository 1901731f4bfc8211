"""Source code of the user's own classes and functions: their modules and all that these import, told from libraries.

A result depends on the code that a workload or a custom metric stands on. Modules of the standard library, of installed
packages and of Edgewright's own rooms do not count here: versions and the pipeline's own digest stand for them.
"""

import ast
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import util
from pathlib import Path

ROOMS = frozenset({"edge_runtime", "quality_gates", "model_compression", "deployments", "tasks", "flows"})
WORKLOADS = "deployments.workloads"
"""The package of the shipped workloads, whose modules are followed as a user's own are."""


def sources_digest(reference: str, things: Iterable[type | object]) -> str:
    """Return the sha256 of the source files of what a recipe names as `package.module:name`, and of their imports.

    `things` are the classes or functions that the name stands for. They can be defined elsewhere: the module that is
    named chooses among them and makes them, so it counts as much as theirs. So do their own names.
    """
    found = user_sources(reference.partition(":")[0])
    digest = hashlib.sha256(reference.encode() + b"\0")
    for thing in things:
        found |= user_sources(str(getattr(thing, "__module__", "")))
        digest.update(str(getattr(thing, "__qualname__", "")).encode() + b"\0")
    for name, path in sorted(found.items()):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def user_sources(module: str) -> dict[str, Path]:
    """Return the source files, by module, of a module and of all that it imports, wherever in it.

    Imports are followed into modules that are neither installed nor of the standard library, and within the package of
    the first module, installed or not. A module that is imported by a computed name is not seen.
    """
    own = module.partition(".")[0]
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        source = None if name in found else _source(name)
        if source is None or (name != module and not _is_followed(name, source, own)):
            continue
        found[name] = source
        waiting += _imports(name, source)
    return found


def _is_followed(name: str, source: Path, own: str) -> bool:
    root = name.partition(".")[0]
    if root in ROOMS:
        return name.startswith(f"{WORKLOADS}.")
    return root == own or not any(source.is_relative_to(folder) for folder in _library_folders())


@cache
def _library_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(dict.fromkeys(Path(sysconfig.get_path(name)).resolve() for name in names))


def _source(name: str) -> Path | None:
    """Return the Python file of a module; None for what has none, such as a compiled module or a name in a module."""
    loaded = sys.modules.get(name)
    try:
        file = inspect.getsourcefile(loaded) if loaded is not None else _spec_file(name)
    except TypeError:  # a built-in module
        return None
    path = None if file is None else Path(file).resolve()
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _spec_file(name: str) -> str | None:
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    try:
        spec = util.find_spec(name)
    except (ImportError, ValueError, AttributeError):  # its parent is no package
        return None
    return None if spec is None else spec.origin


def _imports(name: str, source: Path) -> Iterator[str]:
    """Yield every module that a file imports, with the packages around it."""
    package = name if source.name == "__init__.py" else name.rpartition(".")[0]
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError):  # it counts, and what it would import fails with it
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (part for each in node.names for part in _with_packages(each.name))
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            yield from _with_packages(base)
            yield from (f"{base}.{each.name}" for each in node.names)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """Return the name of the module that `from ... import` takes names from."""
    if not node.level:
        return node.module or ""
    around = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*around, *([node.module] if node.module else [])])


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))
