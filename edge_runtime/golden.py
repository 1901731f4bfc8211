"""Golden vectors: rows with the answers that are expected, and the comparison with those that a device gives."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from edge_runtime.bundle import Bundle, Golden, TensorSpec
from edge_runtime.errors import BundleError
from edge_runtime.files import open_regular

INPUT, OUTPUT = "in.", "out."


class AskedModel(Protocol):
    """A model in memory, as golden vectors ask it."""

    outputs: tuple[TensorSpec, ...]

    def predict(self, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Return the outputs in the order of `outputs`."""
        ...


@dataclass(frozen=True)
class GoldenVectors:
    """Inputs and expected outputs by the names of the tensors, and the rows of a call and the tolerance.

    `heads` has the name of the head that gives an output, where heads do.
    """

    described: Golden
    inputs: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray]
    heads: Mapping[str, str] = field(default_factory=dict)


def write_golden(path: Path, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
    """Write golden vectors into a file; the same vectors give the same bytes, so that bundles can share them."""
    named = {INPUT + name: array for name, array in inputs.items()}
    named |= {OUTPUT + name: array for name, array in outputs.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in named.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)


def golden_vectors(bundle: Bundle) -> GoldenVectors:
    """Return the golden vectors of a bundle. Raises BundleError where the archive is not one of its tensors."""
    golden = bundle.manifest.golden
    if golden is None:
        raise BundleError(
            f"The bundle {bundle.digest} has no golden vectors, so nothing shows that it answers rightly here; publish "
            "the version again with this release."
        )
    arrays = _arrays(bundle.blob_path(golden.blob), golden)
    inputs = {spec.name: _taken(arrays, INPUT, spec, golden) for spec in bundle.manifest.inputs}
    expected = {spec.name: _taken(arrays, OUTPUT, spec, golden) for spec in bundle.manifest.outputs}
    heads = {output: head.name for head in bundle.manifest.heads for output in head.outputs}
    return GoldenVectors(golden, inputs, expected, heads)


def _arrays(path: Path, golden: Golden) -> Mapping[str, np.ndarray]:
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # numpy lets through what zipfile, zlib and ast raise
        raise BundleError(f"The golden vectors {golden.blob} are no archive of arrays ({error}).") from error


def _taken(arrays: Mapping[str, np.ndarray], kind: str, spec: TensorSpec, golden: Golden) -> np.ndarray:
    array = arrays.get(kind + spec.name)
    if array is None or array.dtype != spec.dtype or array.ndim < 1 or len(array) != golden.rows:
        found = "none" if array is None else f"{array.dtype} of shape {array.shape}"
        raise BundleError(
            f"The golden vectors need {golden.rows} rows of {kind}{spec.name} in {spec.dtype}, not {found}."
        )
    return array


def missed_by(golden: GoldenVectors, model: AskedModel) -> str | None:
    """Return in a sentence by how much a model misses golden vectors; None where every answer is within its tolerance.

    It is asked as many rows at a time as were answered when the vectors were made. Raises whatever the model does.
    """
    batch, rows = golden.described.batch, golden.described.rows
    parts = [
        model.predict({name: array[start : start + batch] for name, array in golden.inputs.items()})
        for start in range(0, rows, batch)
    ]
    answers = (np.concatenate(arrays) if arrays[0].ndim else arrays[0] for arrays in zip(*parts, strict=True))
    by_name = dict(zip((spec.name for spec in model.outputs), answers, strict=True))
    return difference(golden, [by_name[name] for name in golden.expected])


def difference(golden: GoldenVectors, answers: Sequence[np.ndarray]) -> str | None:
    """Return in a sentence by how much answers miss what is expected; None where every one is within its tolerance.

    `answers` are in the order of the outputs. A value that is no number is never right.
    """
    for (name, wanted), got in zip(golden.expected.items(), answers, strict=True):
        what = f"the output {name}" + (f" of the head {golden.heads[name]}" if name in golden.heads else "")
        if got.shape != wanted.shape:
            return f"{what} has the shape {got.shape}, not {wanted.shape}"
        gap = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
        if not np.isfinite(gap).all():
            return f"{what} has values that are no numbers"
        worst, allowed = float(gap.max(initial=0.0)), golden.described.tolerance[name]
        if worst > allowed:
            return f"{what} misses the expected answer by {worst:.6g}, and {allowed:.6g} is tolerated"
    return None
