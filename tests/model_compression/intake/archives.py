"""Attacks: `pt2` archives that try to run code when they are read."""

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.export.pt2_archive import PT2ArchiveReader, PT2ArchiveWriter

MODEL = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
_OF_THE_WRITER = ("byteorder", ".data/version", ".data/serialization_id", "archive_format", "archive_version")


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def pickled(marker: Path) -> bytes:
    """Pickle an object that touches `marker`."""
    return pickle.dumps(Payload(marker))


def saved(marker: Path) -> bytes:
    """Save an object that touches `marker` as torch.save does."""
    buffer = io.BytesIO()
    torch.save((Payload(marker),), buffer)
    return buffer.getvalue()


def rewrite(source: Path, target: Path, records: dict[str, bytes]) -> Path:
    """Copy an archive with some of its records replaced or added."""
    with PT2ArchiveReader(str(source)) as reader:
        kept = {name: reader.read_bytes(name) for name in reader.get_file_names() if name not in _OF_THE_WRITER}
    with PT2ArchiveWriter(str(target)) as writer:
        for name, content in {**kept, **records}.items():
            writer.write_bytes(name, content)
    return target


def edited(source: Path, record: str, edit: Callable[[Any], None]) -> bytes:
    """A JSON record of an archive after `edit` changed it in place."""
    with PT2ArchiveReader(str(source)) as reader:
        text = json.loads(reader.read_bytes(record))
    edit(text)
    return json.dumps(text).encode()
