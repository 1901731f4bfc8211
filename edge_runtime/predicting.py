"""Running a bundle once, from a file to a file, as people try it."""

import io
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge_runtime.answer_names import labels_of, named_rows, read_labels
from edge_runtime.backbone import LoadedModel, load_model
from edge_runtime.bundle import Bundle
from edge_runtime.errors import SessionError
from edge_runtime.files import write_atomic

OWN = Path()
"""The labels that the bundle itself has."""


def predict(bundle: Bundle, source: Path, target: Path | None, labels: Path | None = None) -> None:
    """Run a verified bundle once on arrays of a file; write its outputs to a file, or print them as JSON.

    With `labels`, a file of names or the word OWN for those of the bundle, the answers are names of classes, as JSON.
    Raises SessionError for a file of other arrays than the model takes, for a model that does not run, and for labels
    that are missing or not as many as the model has classes.
    """
    names = None if labels is None else _names(bundle, labels)
    model = load_model(bundle.entry_path, bundle.manifest.session, bundle.heads)
    outputs = model.predict(_read_arrays(source, model))
    named = {spec.name: output for spec, output in zip(model.outputs, outputs, strict=True)}
    if names is not None or target is None:
        task = bundle.manifest.lineage.get("task", "")
        answers = {
            name: output.tolist() if names is None else named_rows(output, names, task)
            for name, output in named.items()
        }
        text = json.dumps(answers, ensure_ascii=False) + "\n"
        sys.stdout.write(text) if target is None else write_atomic(target, text.encode())
        return
    buffer = io.BytesIO()
    if len(named) == 1:
        np.save(buffer, outputs[0])
    else:
        _save_archive(buffer, named)
    write_atomic(target, buffer.getvalue())


def _names(bundle: Bundle, labels: Path) -> list[str]:
    if labels != OWN:
        return read_labels(labels)
    own = labels_of(bundle.manifest.lineage.get("labels", ""))
    if not own:
        raise SessionError(
            f"The bundle of {bundle.manifest.model} has no labels of its own; give a file of them with --labels FILE, "
            "or the workload `labels` before the next release. Where the answers are values and no classes, leave "
            "--labels out."
        )
    return own


def _save_archive(buffer: io.BytesIO, arrays: Mapping[str, np.ndarray]) -> None:
    # numpy.savez takes the names as keywords, so an output called "file" would break it
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_arrays(source: Path, model: LoadedModel) -> dict[str, np.ndarray]:
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
