"""Folders of artifacts: those that somebody else wrote hold files that lead nowhere else; ours hold a judged model."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema
from mlflow.types import TensorSpec as MlflowTensor

from edge_runtime.errors import SessionError
from edge_runtime.model_files import check_model, heads_of, model_files, write_heads
from edge_runtime.settings import TensorSpec
from tasks.errors import RegistryError, SystemFailure

Tensors: TypeAlias = tuple[Sequence[TensorSpec], Sequence[TensorSpec]]
REMEDY = "log the model again with MLflow, and see who can write to the artifact store"


def check_inside(what: str, folder: Path) -> None:
    """Raise RegistryError unless everything in a folder is a file or a folder of its own; a link may stay inside."""
    whole = folder.resolve()
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if not path.resolve().is_relative_to(whole):
            raise RegistryError(f"{what}: expected files of its own, got a link `{name}` that leads out; {REMEDY}")
        if not (path.is_file() or path.is_dir()):
            raise RegistryError(f"{what}: expected files, got `{name}`, a pipe, a device or a broken link; {REMEDY}")


def file_inside(what: str, folder: Path, name: object) -> Path:
    """Return the path that a description in a folder names. Raises RegistryError where it leads out of the folder."""
    path = folder / name if isinstance(name, str) and "\0" not in name else None
    if path is None or not path.resolve().is_relative_to(folder.resolve()):
        got = str(name)[:80]
        raise RegistryError(f"{what}: expected MLmodel to name a file inside the model's folder, got {got!r}; {REMEDY}")
    return path


def as_mlflow_model(file: Path, folder: Path, tensors: Tensors, beside: Mapping[str, Path]) -> Path:
    """Wrap a model as MLflow's onnx flavour; its files, and those beside them, stay byte for byte what they are."""
    import onnx

    mlflow.onnx.save_model(
        onnx.load(file), str(folder), pip_requirements=["onnx", "onnxruntime"], save_as_external_data=False,
        signature=_signature_of(tensors),
    )  # fmt: skip
    for name, path in {**beside, **model_files(file)}.items():
        shutil.copyfile(path, folder / name)  # no link: onnx reads no weights that have another name
    if heads := heads_of(file):
        write_heads(folder, {head.name: head.outputs for head in heads})
    return folder


def _signature_of(tensors: Tensors) -> ModelSignature | None:
    """Return MLflow's signature of inputs and outputs; None where they are not known."""
    inputs, outputs = tensors
    return ModelSignature(_schema(inputs), _schema(outputs)) if inputs and outputs else None


def _schema(tensors: Sequence[TensorSpec]) -> Schema:
    sizes = [[-1 if size is None else size for size in tensor.shape] for tensor in tensors]
    named = zip(tensors, sizes, strict=True)
    return Schema([MlflowTensor(np.dtype(tensor.dtype), shape, tensor.name) for tensor, shape in named])


def check_unchanged(file: Path, measured: str, what: str) -> None:
    """Check that a file is still the model that was measured; raises SystemFailure."""
    try:
        check_model(file, measured)
    except SessionError as error:
        raise SystemFailure(
            f"{what}: expected to keep the model that was measured, got another. {error} "
            "Look at the disk and compress the version again"
        ) from error
