"""Source code of the user's own classes and functions: their modules and all that these import, told from libraries.

A result depends on all the code that a workload or a custom metric stands on. What people decide on is less: only what
they wrote themselves. Imports of the standard library, of installed packages and of Edgewright's own rooms count for
neither: versions and the pipeline's own digest stand for them.
"""

import ast
import hashlib
import inspect
import json
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata, util
from pathlib import Path

from deployments.answers import TASKS, prediction_task

ROOMS = frozenset({"edge_runtime", "quality_gates", "model_compression", "deployments", "tasks", "flows"})
WORKLOADS = "deployments.workloads"
"""The package of the shipped workloads, whose modules are followed as a user's own are."""
ATTRIBUTES = ("task", "labels", "preprocessing", "group", "ignore_index", "shared_rows")
"""The attributes of a workload that say something in plain values."""
_PACKAGES = frozenset({"site-packages", "dist-packages"})


def code_digest(workload: object, reference: str) -> str:
    """Return the sha256 of a workload's code: the module that a recipe names, its bases', and what these import.

    The tasks count too, because they hold the default functions. So do the values of the workload's attributes, which
    can be read from a file or set by another module.
    """
    digest = sources_digest(reference, [*_kinds(workload), *_kinds_of_task(workload)])
    return hashlib.sha256(f"{_values(workload)}\0{digest}".encode()).hexdigest()


def question_digest(workload: object, reference: str) -> str:
    """Return the sha256 of what people wrote of a workload: as code_digest(), of no library and not of Edgewright.

    An installed package counts where it is the workload's own, as its next version is then a change by hand.
    """
    digest = written_digest(reference, _kinds(workload), package_of(reference))
    return hashlib.sha256(f"{_values(workload)}\0{digest}".encode()).hexdigest()


def package_of(reference: str) -> str:
    """Return the package of `package.module:name`."""
    return reference.partition(":")[0].partition(".")[0]


def sources_digest(reference: str, things: Iterable[type | object]) -> str:
    """Return the sha256 of the source files of what a recipe names as `package.module:name`, and of their imports.

    `things` are the classes or functions that the name stands for. They can be defined elsewhere: the module that is
    named chooses among them and makes them, so it counts as much as theirs. So do their own names. What is defined in
    another installed package counts by the version of that.
    """
    kept, package = list(things), package_of(reference)
    libraries = {each: version for each in map(_module_of, kept) if (version := _library_version(each, package))}
    modules = [reference.partition(":")[0], *(each for each in map(_module_of, kept) if each not in libraries)]
    found = {name: path for each in modules for name, path in user_sources(each).items()}
    return _digest(" ".join([reference, *sorted(set(libraries.values()))]), kept, found)


def written_digest(reference: str, things: Iterable[type | object], package: str) -> str:
    """Return the digest as sources_digest(), of files and names that are neither Edgewright's nor installed.

    Those of the installed `package` count all the same.
    """
    kept = [thing for thing in things if _is_written(_module_of(thing), package)]
    modules = [reference.partition(":")[0], *map(_module_of, kept)]
    found = {name: path for each in modules if _is_written(each, package) for name, path in user_sources(each).items()}
    return _digest(reference, kept, found)


def _kinds(workload: object) -> list[type]:
    """Return a workload's class and its bases, those of the standard library aside."""
    bases = type(workload).__mro__
    return [base for base in bases if base.__module__.partition(".")[0] not in sys.stdlib_module_names]


def _kinds_of_task(workload: object) -> list[type]:
    """Return the class of a workload's task and its bases; none for an object that has no task."""
    task = getattr(workload, "task", None)
    return _kinds(prediction_task(task)) if task in TASKS else []


def _values(workload: object) -> str:
    given = {name: value for name in ATTRIBUTES if (value := getattr(workload, name, None)) is not None}
    return json.dumps(given, sort_keys=True)


def _module_of(thing: object) -> str:
    return str(getattr(thing, "__module__", ""))


def _library_version(module: str, package: str) -> str | None:
    """Return name and version of the installed package that a module is of; None for `package` and what has none."""
    root, source = module.partition(".")[0], _source(module)
    if source is None or root == package or root in ROOMS or not _is_installed(source):
        return None
    names = sorted(_distributions().get(root, ()))
    return ", ".join(f"{name} {metadata.version(name)}" for name in names) or None


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _is_written(module: str, package: str) -> bool:
    source = _source(module)
    return source is not None and _is_followed(module, source, package)


def _digest(reference: str, things: Iterable[object], sources: Mapping[str, Path]) -> str:
    digest = hashlib.sha256(reference.encode() + b"\0")
    for thing in things:
        digest.update(str(getattr(thing, "__qualname__", "")).encode() + b"\0")
    for name, path in sorted(sources.items()):
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
    return root == own or not _is_installed(source)


def _is_installed(source: Path) -> bool:
    if not _PACKAGES.isdisjoint(source.parts):
        return True
    return any(source.is_relative_to(folder) for folder in _library_folders())


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
