"""Running a bundle once, from a file to a file, as people try it."""

import io
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.errors import SessionError
from edge_runtime.files import write_atomic
from edge_runtime.session import EdgeModel


def predict(bundle: Bundle, source: Path, target: Path | None) -> None:
    """Run a verified bundle once on arrays of a file; write its outputs to a file, or print them as JSON.

    Raises SessionError for a file of other arrays than the model takes, and for a model that does not run.
    """
    model = EdgeModel.load(bundle.entry_path, bundle.manifest.session)
    outputs = model.predict(_read_arrays(source, model))
    named = {spec.name: output for spec, output in zip(model.outputs, outputs, strict=True)}
    if target is None:
        sys.stdout.write(json.dumps({name: output.tolist() for name, output in named.items()}) + "\n")
        return
    buffer = io.BytesIO()
    if len(named) == 1:
        np.save(buffer, outputs[0])
    else:
        _save_archive(buffer, named)
    write_atomic(target, buffer.getvalue())


def _save_archive(buffer: io.BytesIO, arrays: Mapping[str, np.ndarray]) -> None:
    # numpy.savez takes the names as keywords, so an output called "file" would break it
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_arrays(source: Path, model: EdgeModel) -> dict[str, np.ndarray]:
    try:
        content = np.load(source, allow_pickle=False)
        if not isinstance(content, np.ndarray):
            with content:
                return dict(content)
    except Exception as error:  # numpy lets through what zipfile, zlib and ast raise
        raise SessionError(f"The input {source} is no .npy or .npz file of plain arrays ({error}).") from error
    if len(model.inputs) != 1:
        names = [spec.name for spec in model.inputs]
        raise SessionError(f"The model takes the inputs {names}: give them as one .npz file, not as {source}.")
    return {model.inputs[0].name: content}
