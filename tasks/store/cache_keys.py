"""Digests: what makes a stage's result another one."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from edge_runtime.files import sha256_of

Json = Any
LIBRARIES = ("torch", "torchao", "torch-pruning", "onnx", "onnxscript", "onnxruntime", "numpy")


def stage_key(name: str, inputs: Mapping[str, Json], code: Sequence[str]) -> str:
    """Digest of everything that a stage's result depends on."""
    content = {"name": name, "inputs": inputs, "code": code_digests(code), "libraries": libraries()}
    return digest_of(content)[:32]


def code_digests(modules: Sequence[str]) -> list[str]:
    """sha256 of the source of each module or package."""
    return [_code_digest(module) for module in modules]


def digest_of(content: Json) -> str:
    """sha256 of a JSON value in canonical form."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@cache
def _libraries() -> tuple[tuple[str, str], ...]:
    return tuple((library, metadata.version(library)) for library in LIBRARIES)


def libraries() -> dict[str, str]:
    """Versions of the libraries whose change makes every result another one."""
    return dict(_libraries())


@cache
def _code_digest(module: str) -> str:
    """sha256 of the source of a module, or of all modules of a package."""
    spec = util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{module}: expected an importable module as a stage's code, got none")
    path = Path(spec.origin)
    sources = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return digest_of({str(source.relative_to(path.parent)): sha256_of(source) for source in sources})
