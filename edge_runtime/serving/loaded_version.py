"""Versions in memory: a bundle's session, checked against its golden vectors and warm before it answers anybody."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

import numpy as np

from edge_runtime.bundle import Manifest, Spread
from edge_runtime.errors import BadRequest, SessionError
from edge_runtime.golden import GoldenVectors, golden_vectors, missed_by
from edge_runtime.install import RunningModel
from edge_runtime.serving.batching_plan import BatchingPlan, Pace
from edge_runtime.serving.drift_counter import DriftCounter
from edge_runtime.serving.served_models import ModelDescription
from edge_runtime.settings import TensorSpec

logger = logging.getLogger("edgewright")
MOST_COMPARED = 8
"""Golden rows that are also answered one by one, to see that batches answer as single rows do."""


class Predictor(Protocol):
    """A model as serving needs it; those that `load_model` makes are."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """All tensors that go into a session or come out of one."""
        ...

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise SessionError for arrays that the model does not take."""
        ...

    def predict(self, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> list[np.ndarray]:
        """Return the outputs in the graph's order, or those that are named, in that order."""
        ...

    def predict_rows(
        self, arrays: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray | None]
    ) -> dict[str, np.ndarray]:
        """Return the named outputs, each with the rows of these ascending numbers alone; None is all."""
        ...


class LoadedVersion:
    """A version that can answer. It is closed once it is retired and nothing holds a pin on it any more.

    `tolerance` says by how much each output may differ from its golden answer; it is empty without golden vectors.
    `pins` and `retired` belong to the lock of the queue that it serves. `freed` is set after its memory was given back.
    """

    def __init__(
        self,
        model: Predictor,
        description: ModelDescription,
        plan: BatchingPlan,
        spreads: Sequence[Spread] = (),
        tolerance: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._model: Predictor | None = model
        self.description = description
        self.plan = plan
        self.tolerance = tolerance
        self.pace = Pace()
        self.pins = 0
        self.retired = False
        self.freed = asyncio.Event()
        self.drift = DriftCounter(spreads)

    def check(self, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] | None) -> None:
        """Raise BadRequest, naming the input or the output, for a request that this version does not take."""
        wrong = None
        try:
            self._open().check(arrays)
        except SessionError as error:
            wrong = str(error)
        if wrong is not None:  # not while the other is handled: its traceback would keep the session
            raise BadRequest(wrong)
        known = [spec.name for spec in self.description.outputs]
        unknown = [name for name in outputs or () if name not in known]
        if unknown:
            raise BadRequest(
                f"The model gives the outputs {known}: unknown {unknown}; ask for some of them, or for all."
            )

    def predict(self, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> list[np.ndarray]:
        """Return the outputs in the graph's order, or those that are named. Raises whatever the session does."""
        return self._open().predict(arrays, outputs)

    def predict_rows(
        self, arrays: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray | None]
    ) -> dict[str, np.ndarray]:
        """Return the named outputs, each with the rows of these numbers alone. Raises whatever the session does."""
        return self._open().predict_rows(arrays, rows)

    def answer_alone(self, reason: str) -> None:
        """Answer every request alone from now on; the log says why."""
        what = f"{self.description.name} version {self.description.version}"
        logger.warning("%s: its requests run one by one from now on: %s", what, reason)
        self.plan = self.plan.alone()
        self.description = replace(self.description, batched=False)

    def close(self) -> None:
        """Give the session back, whoever still knows this version."""
        self._model = None

    @property
    def model(self) -> Predictor | None:
        """The model in memory, whose sessions another version may take over; None once it was given back."""
        return self._model

    def _open(self) -> Predictor:
        if self._model is None:
            raise SessionError(f"{self.description.name} version {self.description.version} is closed.")
        return self._model


def load_version(running: RunningModel, before: LoadedVersion | None = None) -> LoadedVersion:
    """Load a verified bundle, compare its answers with the golden vectors, and warm it up to its largest batch.

    Of a model with heads, graphs that `before` has in memory are not loaded again.
    Raises BundleError or SessionError, also where it answers wrongly or is not of the tensors that its manifest says.
    Batches stay off where they answer otherwise than single rows do, and without golden vectors, which would show it.
    """
    manifest = running.bundle.manifest
    model = running.load(None if before is None else before.model)
    _check_tensors(manifest, model)
    plan = BatchingPlan.of_curve(manifest.measured.batch_ms)
    if not _has_rows_everywhere(model) or manifest.golden is None:
        plan = plan.alone()
    described = ModelDescription(
        manifest.model, manifest.version, manifest.release, running.bundle.digest, model.inputs, model.outputs,
        plan.joins,
    )  # fmt: skip
    tolerance = {} if manifest.golden is None else manifest.golden.tolerance
    version = LoadedVersion(model, described, plan, manifest.spreads, tolerance)
    if manifest.golden is None:
        logger.warning("%s: it has no golden vectors, so nothing shows that it answers rightly here", manifest.model)
    else:
        _warm(version, model, golden_vectors(running.bundle))
    return version


def _check_tensors(manifest: Manifest, model: Predictor) -> None:
    for what, said, found in (("inputs", manifest.inputs, model.inputs), ("outputs", manifest.outputs, model.outputs)):
        expected, got = ([(spec.name, spec.dtype) for spec in specs] for specs in (said, found))
        if sorted(expected) != sorted(got):
            raise SessionError(
                f"The graph of {manifest.model} has the {what} {got}, and the manifest says {expected}: publish again."
            )


def _has_rows_everywhere(model: Predictor) -> bool:
    return all(spec.shape and spec.shape[0] is None for spec in model.tensors)


def _warm(version: LoadedVersion, model: Predictor, golden: GoldenVectors) -> None:
    """Answer the golden vectors, compare, and see whether batches answer as single rows do."""
    missed = missed_by(golden, model)
    if missed is not None:
        raise SessionError(
            f"{version.description.name} version {version.description.version} answers wrongly here: {missed}; publish "
            "it again, or install another version."
        )
    if version.plan.joins and (reason := _otherwise_in_batches(version, golden)) is not None:
        version.answer_alone(reason)
    most = version.plan.most_rows if version.plan.joins else min(golden.described.batch, golden.described.rows)
    full = {name: np.resize(array, (most, *array.shape[1:])) for name, array in golden.inputs.items()}
    for _ in ("first", "second"):
        begun = time.perf_counter()
        version.predict(full)
        seconds = time.perf_counter() - begun
    version.pace.seen(version.plan.work(most), seconds)


def _rows_of(golden: GoldenVectors, start: int, stop: int) -> dict[str, np.ndarray]:
    return {name: array[start:stop] for name, array in golden.inputs.items()}


def _otherwise_in_batches(version: LoadedVersion, golden: GoldenVectors) -> str | None:
    """Return by how much rows answer otherwise in one batch than one by one; None where within the tolerance."""
    count = min(golden.described.rows, version.plan.most_rows, MOST_COMPARED)
    joined = version.predict(_rows_of(golden, 0, count))
    single = [version.predict(_rows_of(golden, row, row + 1)) for row in range(count)]
    for at, spec in enumerate(version.description.outputs):
        alone = np.concatenate([answers[at] for answers in single])
        if alone.shape != joined[at].shape:
            return f"{count} rows give the output {spec.name} in the shape {joined[at].shape}, not {alone.shape}"
        gap = float(np.abs(alone.astype(np.float64) - joined[at].astype(np.float64)).max(initial=0.0))
        allowed = golden.described.tolerance[spec.name]
        if not gap <= allowed:
            return f"in a batch the output {spec.name} moves by {gap:.6g}, and {allowed:.6g} is tolerated"
    return None
