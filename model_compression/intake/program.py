"""Reads a `pt2` file without unpickling anything and without running code from it."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import Tensor
from torch._export.serde import schema
from torch._export.serde.serialize import ExportedProgramDeserializer, _dict_to_dataclass
from torch.export import ExportedProgram
from torch.export.pt2_archive import PT2ArchiveReader
from torch.export.pt2_archive._package import _load_constants, _load_state_dict

from model_compression.errors import IntakeError
from model_compression.intake.screening import screen

_MODEL = "models/model.json"
_PAYLOADS = {
    "weights": ("data/weights/model_weights_config.json", "data/weights/model.pt"),
    "constants": ("data/constants/model_constants_config.json", "data/constants/model.pt"),
}
_RAW_PREFIXES = ("weight_", "tensor_")
_REGISTER_AGAIN = "register the model again with mlflow.pytorch.log_model and its default serialization, `pt2`"


def load_program(path: Path) -> ExportedProgram:
    """Load a program that `torch.export.save` wrote, as MLflow's `pt2` flavour does.

    `torch.export.load` would unpickle sample inputs and flagged weights with `weights_only=False`, open bundled
    shared objects and compile guards. This reads the graph (screened), the raw weights and the raw constants, and
    nothing else: the program has no example inputs. Raises IntakeError for a file that is missing, no `pt2`,
    truncated, or that holds anything pickled in the place of a tensor.
    """
    archive = _open(path)
    try:
        return _read(archive)
    except IntakeError as error:
        raise IntakeError(f"{path}: {error}") from error
    except Exception as error:  # torch answers a damaged archive with any of a dozen types
        raise IntakeError(
            f"{path}: expected a program of torch.export, but reading it failed: "
            f"{type(error).__name__}: {str(error)[:200]}; {_REGISTER_AGAIN}"
        ) from error


def _open(path: Path) -> PT2ArchiveReader:
    if not path.is_file():
        raise IntakeError(f"{path}: expected a `pt2` file, found none; check the model version's artifacts")
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise IntakeError(f"{path}: expected a `pt2` file, got a file that is no archive; {_REGISTER_AGAIN}")
    try:
        return PT2ArchiveReader(str(path))
    except (RuntimeError, AssertionError) as error:
        raise IntakeError(
            f"{path}: expected a whole `pt2` file, got a truncated archive or one of another kind; "
            f"download it again or {_REGISTER_AGAIN}"
        ) from error


def _read(archive: PT2ArchiveReader) -> ExportedProgram:
    records = set(archive.get_file_names())
    if _MODEL not in records:
        raise IntakeError(f"expected a program in {_MODEL}, found none; {_REGISTER_AGAIN}")
    for kind in _PAYLOADS:
        _check_payload(archive, records, kind)
    text = json.loads(archive.read_bytes(_MODEL))
    screen(text)
    text["guards_code"] = []
    return ExportedProgramDeserializer().deserialize(
        _dict_to_dataclass(schema.ExportedProgram, text),
        _tensors(_load_state_dict(archive, "model")),
        _tensors(_load_constants(archive, "model")),
    )


def _check_payload(archive: PT2ArchiveReader, records: Collection[str], kind: str) -> None:
    config, pickled = _PAYLOADS[kind]
    if pickled in records:
        raise IntakeError(f"expected raw {kind}, got the pickle {pickled} of an old torch; {_REGISTER_AGAIN}")
    if config not in records:
        raise IntakeError(f"expected the list of {kind} in {config}, found none; {_REGISTER_AGAIN}")
    entries: dict[str, dict[str, Any]] = json.loads(archive.read_bytes(config))["config"]
    for name, entry in entries.items():
        if entry["use_pickle"] is not False or not entry["path_name"].startswith(_RAW_PREFIXES):
            raise IntakeError(
                f"expected raw {kind}, but {name[:80]!r} is stored as a pickle, which could run its author's code; "
                "register a model of plain tensors (no tensor subclasses, no custom objects)"
            )
    screen(list(entries.values()))


def _tensors(payload: dict[str, Tensor] | bytes) -> dict[str, Tensor]:
    if isinstance(payload, bytes):
        raise IntakeError(f"expected raw tensors, got a pickle; {_REGISTER_AGAIN}")
    return payload
