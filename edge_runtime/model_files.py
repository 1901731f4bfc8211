"""Model files: a graph, and beside it the files of its large weights, each named by its sha256.

This is the portable form in which a model is measured, registered and delivered. The graph names its weights by their
digests, so the graph's own sha256 stands for all of them: it is the digest of the model. A graph that holds all of its
weights itself is such a model too. A model may have heads: further graphs, which read what the first one gives.
On disk they lie beside it, and HEADS names them. A function that takes a graph takes the heads that are named there,
unless it is given others.
"""

import hashlib
import json
import mmap
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import SessionError
from edge_runtime.files import open_regular, sha256_of
from edge_runtime.settings import is_component, is_plain_text

MODEL = "model.onnx"
"""The name of the graph wherever it has one."""
HEADS = "heads.json"
"""The name of the file beside a graph that names its heads, in their order, with the outputs that each gives."""

_AGAIN = "fetch or make the model again"
_MOST_BYTES = 1 << 20  # of HEADS
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEEPEST = 64  # nested graphs, far more than any exporter writes
_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto", 22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {13: "StringStringEntryProto"},
}  # fmt: skip
"""The fields of ONNX's messages that lead to a place where a graph names a file; onnx itself is not on the device."""


@dataclass(frozen=True)
class HeadGraph:
    """A graph that reads outputs of a model's backbone: its name, its path, and the outputs that it gives, in order."""

    name: str
    path: Path
    outputs: tuple[str, ...]


def head_file(name: str) -> str:
    """Return the name of a head's graph wherever it has one."""
    return f"head.{name}.onnx"


def heads_of(graph: Path | str) -> tuple[HeadGraph, ...]:
    """Return the heads of a model on disk, in their order, as HEADS beside its graph names them; none without that.

    A graph that is named there is a head, and has none. Raises SessionError for a HEADS that is damaged or names no
    head, and for a head whose graph is missing.
    """
    path = Path(graph).parent / HEADS
    try:
        with open_regular(path) as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SessionError(f"{path}: expected a file that can be read, got {error}; look at the disk.") from error
    heads = declared_heads(path.parent, _read_heads(path, data))
    for head in heads:
        if head.path.is_symlink() or not head.path.is_file():
            raise SessionError(
                f"{graph}: expected the graph of its head {head.name} as {head.path.name} beside it, got none; fetch "
                "or make the model again."
            )
    return () if Path(graph) in [head.path for head in heads] else heads


def write_heads(folder: Path, outputs: Mapping[str, Sequence[str]]) -> tuple[HeadGraph, ...]:
    """Write HEADS into a folder: the outputs of each head by its name, in their order. Return the heads.

    Their graphs are expected there under the names that head_file gives. Raises SessionError as declared_heads does.
    """
    heads = declared_heads(folder, outputs)
    named = [{"name": head.name, "outputs": head.outputs} for head in heads]
    (folder / HEADS).write_text(json.dumps({"heads": named}, indent=2) + "\n")
    return heads


def declared_heads(folder: Path, outputs: Mapping[str, Sequence[str]]) -> tuple[HeadGraph, ...]:
    """Return heads whose graphs lie in a folder, each by its name with its outputs; nothing is read.

    Raises SessionError for no head, for a name that can be no part of a path, and for outputs without names of their
    own.
    """
    if not outputs:
        raise SessionError(f"{folder / HEADS}: expected at least one head, got none; {_AGAIN}.")
    for name, given in outputs.items():
        if not is_component(name) or not given or not all(is_plain_text(output) for output in given):
            raise SessionError(
                f"{folder / HEADS}: expected heads named by letters, digits, dots, dashes and underscores, with the "
                f"printable names of their outputs, got {str(name)[:80]!r} with {str(given)[:80]}; {_AGAIN}."
            )
    given = [output for each in outputs.values() for output in each]
    if twice := sorted({output for output in given if given.count(output) > 1}):
        raise SessionError(f"{folder / HEADS}: expected each output once, got {twice[0]!r} twice; {_AGAIN}.")
    return tuple(HeadGraph(name, folder / head_file(name), tuple(each)) for name, each in outputs.items())


def _read_heads(path: Path, data: bytes) -> dict[str, list[str]]:
    """Read HEADS strictly: no other key, no head twice."""
    try:
        if len(data) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        (heads,) = _values(json.loads(data, object_pairs_hook=_once), "heads")
        read = [_values(each, "name", "outputs") for each in heads]
        found = {name: outputs for name, outputs in read if isinstance(name, str) and isinstance(outputs, list)}
        if len(found) < len(read):
            raise ValueError("a head without a name of its own, or without a list of outputs")
    except (ValueError, TypeError, RecursionError) as error:
        raise SessionError(f"{path}: expected the heads of a model, got {str(error)[:200]}; {_AGAIN}.") from error
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _values(content: object, *keys: str) -> list[Any]:
    if not isinstance(content, dict) or set(content) != set(keys):
        raise ValueError(f"something else than an object with the keys {', '.join(keys)}")
    return [content[key] for key in keys]


def model_digest(graph: Path | str, heads: Sequence[HeadGraph] | None = None) -> str:
    """Return the sha256 of a graph, which stands for the whole model, once every file of weights has its own digest.

    With heads, it is the sha256 of the digests of all graphs, with the names and outputs of the heads. Raises
    SessionError for a graph that cannot be read, for weights that are missing, damaged or not named by their sha256,
    and as heads_of does.
    """
    digest, heads = _graph_digest(graph), _heads(graph, heads)
    return digest_with_heads(digest, [(head.name, _graph_digest(head.path), head.outputs) for head in heads])


def digest_with_heads(graph: str, heads: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """Return the digest of a model whose graphs have these digests; each head has its name, its digest, its outputs.

    Without heads, that of the graph stands for the model.
    """
    named = [[name, digest, list(outputs)] for name, digest, outputs in heads]
    return hashlib.sha256(json.dumps([graph, named]).encode()).hexdigest() if named else graph


def _heads(graph: Path | str, heads: Sequence[HeadGraph] | None) -> Sequence[HeadGraph]:
    return heads_of(graph) if heads is None else heads


def _graph_digest(graph: Path | str) -> str:
    for path in weights_of(graph):
        found = _read(path)
        if found != path.name:
            raise SessionError(
                f"{graph}: expected weights with the sha256 {path.name}, got {found}; the file was changed, "
                "fetch or make the model again."
            )
    return _read(Path(graph))


def check_model(graph: Path | str, sha256: str, heads: Sequence[HeadGraph] | None = None) -> None:
    """Raise SessionError unless a model has this digest, as model_digest gives it, and every file of weights its own.

    A graph is compared before its weights are looked for.
    """
    heads = _heads(graph, heads)
    found = model_digest(graph, heads) if heads else _read(Path(graph))
    if found != sha256:
        raise SessionError(f"{graph}: expected the model with sha256 {sha256}, got {found}; its files were changed.")
    if not heads:
        model_digest(graph, heads)


def model_bytes(graph: Path | str, heads: Sequence[HeadGraph] | None = None) -> int:
    """Return the bytes of a model's graphs and files of weights, each file once. Raises SessionError as weights_of."""
    return sum(path.stat().st_size for path in files_of(graph, heads))


def graphs_of(graph: Path | str, heads: Sequence[HeadGraph] | None = None) -> list[Path]:
    """Return the paths of a model's graphs: the one that takes the rows, and its heads in order; raises as heads_of."""
    return [Path(graph), *(head.path for head in _heads(graph, heads))]


def files_of(graph: Path | str, heads: Sequence[HeadGraph] | None = None) -> set[Path]:
    """Return the paths of a model's graphs and files of weights, each once.

    Raises SessionError as weights_of and heads_of do.
    """
    graphs = graphs_of(graph, heads)
    return {*graphs, *(path for each in graphs for path in weights_of(each))}


def model_files(graph: Path | str) -> dict[str, Path]:
    """Return all files of a model by their names in a bundle: the graph as MODEL, its heads, and weights by sha256.

    Raises SessionError as weights_of and heads_of do.
    """
    graphs = {MODEL: Path(graph)} | {head_file(head.name): head.path for head in heads_of(graph)}
    return graphs | {path.name: path for each in graphs.values() for path in weights_of(each)}


def weights_of(graph: Path | str) -> list[Path]:
    """Return the files of weights that a graph names, in order; they are there and are regular files, not links.

    Raises SessionError for a file that is no ONNX graph, for a name that is no sha256, and for a file that is missing.
    """
    graph = Path(graph)
    paths = [graph.parent / name for name in weight_names(graph)]
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise SessionError(
                f"{graph}: expected a file of weights named {path.name} beside it, got none; fetch or make the model "
                "again."
            )
    return paths


def weight_names(graph: Path | str) -> list[str]:
    """Return the names of the files that a graph refers to, each a sha256, sorted; raises as weights_in_order."""
    return sorted(set(weights_in_order(graph)))


def weights_in_order(graph: Path | str) -> list[str]:
    """Return the names of the files that a graph refers to, each a sha256, in the order of the graph's tensors.

    Two graphs of one structure so have the same tensor in the same place.
    Raises SessionError for a file that is no ONNX graph and for a name that is no sha256.
    """
    try:
        names = list(_locations(_mapped(Path(graph)), "ModelProto", 0))
    except (OSError, ValueError, IndexError) as error:
        raise SessionError(f"{graph}: expected an ONNX graph, got {error}; fetch or make the model again.") from error
    for name in names:
        if not _SHA256.fullmatch(name):
            raise SessionError(
                f"{graph}: expected external data in files named by their sha256, got {name!r}; bring the model into "
                "the portable form, or save it with its weights inside."
            )
    return names


def _read(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise SessionError(
            f"{path}: expected a file that can be read, got {error.strerror}; look at the disk."
        ) from error


def _mapped(path: Path) -> memoryview:
    """Map a file, because a graph may hold hundreds of megabytes of weights that nobody needs to look at."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise ValueError("an empty file")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _locations(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    """Yield the `location` of all external data below a message of protobuf's wire format."""
    if depth > _DEEPEST:
        raise ValueError("messages that are nested too deep")
    for number, content in _fields(message):
        inner = _MESSAGES[kind].get(number)
        if inner == "StringStringEntryProto":
            entry = dict(_fields(content))
            if bytes(entry.get(1, b"")) == b"location":
                yield bytes(entry.get(2, b"")).decode()
        elif inner is not None:
            yield from _locations(content, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the content of each field that has a length; numbers are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind, size = key & 7, _FIXED.get(key & 7, 0)
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _WITH_LENGTH:
            size, at = _varint(message, at)
            yield key >> 3, message[at : at + size]
        elif not size:
            raise ValueError(f"bytes of the unknown kind {kind}")
        at += size
    if at != len(message):
        raise ValueError("a file that is cut off")


_VARINT, _WITH_LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than ten bytes")
