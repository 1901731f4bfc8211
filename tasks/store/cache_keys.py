"""Cache keys: digests of everything that a stage's result depends on."""

import ast
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any, TypeAlias

from edge_runtime.files import sha256_of

Json = Any
Code: TypeAlias = str | Callable[..., Any]
"""Name of a module or package, or a function or class that stands for the module that defines it."""
LIBRARIES = ("torch", "torchao", "onnx", "onnxscript", "onnxruntime", "numpy")
FOLLOWED = ("model_compression", "quality_gates", "edge_runtime")
"""Rooms whose imports a key follows. A module elsewhere counts alone: what it calls is named beside it."""


def stage_key(name: str, inputs: Mapping[str, Json], code: Sequence[Code]) -> str:
    """Return the digest of a stage's name, its inputs, the source code it stands on and the libraries below it."""
    content = {"name": name, "inputs": inputs, "code": code_digests(code), "libraries": libraries()}
    return digest_of(content)[:32]


def code_digests(code: Sequence[Code]) -> list[str]:
    """Return a sha256 for each module or package: of its source, and of all that it imports of the rooms followed."""
    return [_code_digest(each if isinstance(each, str) else each.__module__) for each in code]


def digest_of(content: Json) -> str:
    """Return the sha256 of a JSON value in canonical form."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def libraries() -> dict[str, str]:
    """Return the versions of the libraries whose change makes every result a different one."""
    return dict(_libraries())


def sources_of(module: str) -> dict[str, Path]:
    """Return the source files, by module, that a module or package stands on.

    Imports are followed within the rooms `model_compression`, `quality_gates` and `edge_runtime`, but not from a whole
    room, which counts with its own modules alone. A name that a package
    hands on is followed to the module that defines it, so that a package's other modules do not count.
    Raises ModuleNotFoundError.
    """
    found: dict[str, Path] = {}
    waiting = list(_modules_of(module))
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _source(name)
        if "." in module and name.partition(".")[0] in FOLLOWED:
            waiting += [imported for imported in _imports(name) if imported.partition(".")[0] in FOLLOWED]
    return found


@cache
def _libraries() -> tuple[tuple[str, str], ...]:
    return tuple((library, metadata.version(library)) for library in LIBRARIES)


@cache
def _code_digest(module: str) -> str:
    return digest_of({name: sha256_of(path) for name, path in sorted(sources_of(module).items())})


def _source(module: str) -> Path:
    """Return a module's file, found without importing the packages that it is in, which takes seconds."""
    package, *inner = module.split(".")
    spec = util.find_spec(package)
    if spec is not None and spec.origin is not None:
        origin = Path(spec.origin)
        place = origin.parent.joinpath(*inner)
        files = (place / "__init__.py", place.with_name(f"{place.name}.py")) if inner else (origin,)
        if found := next(filter(Path.is_file, files), None):
            return found
    raise ModuleNotFoundError(f"{module}: expected an importable module as a stage's code, got none")


def _modules_of(module: str) -> Iterator[str]:
    """Yield a module, or all modules of a package."""
    source = _source(module)
    if source.name != "__init__.py":
        yield module
        return
    for path in sorted(source.parent.rglob("*.py")):
        parts = path.relative_to(source.parent).with_suffix("").parts
        yield ".".join((module, *(part for part in parts if part != "__init__")))


@cache
def _imports(module: str) -> list[str]:
    """Return the modules that a module imports, wherever in it; what a package hands on counts as its own module's."""
    tree = ast.parse(_source(module).read_text())
    found = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in FOLLOWED:
            found += [_defined_in(node.module, name.name) for name in node.names]
    return found


@cache
def _defined_in(module: str, name: str) -> str:
    """Return the module that `from module import name` takes the name from."""
    if _is_module(f"{module}.{name}"):
        return f"{module}.{name}"
    source = _source(module)
    if source.name != "__init__.py":
        return module
    for node in ast.parse(source.read_text()).body:
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and name in {each.asname or each.name for each in node.names}
        ):
            return _defined_in(node.module, name)
    return module


def _is_module(name: str) -> bool:
    try:
        return _source(name).is_file()
    except ModuleNotFoundError:  # a name in a module
        return False
