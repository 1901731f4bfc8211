"""Acceptance data: what a device tests a file with before it runs it, and what it compares its own rows with later.

Golden vectors are calibration rows with the answers of the very file, as the device's class of CPU gives them. A device
of another CPU model rounds otherwise, so an answer has a tolerance. It is four times the difference between these
answers and those of the graph with ONNX Runtime's basic optimization on this machine, and no less than a share of the
largest answer: two hundredths where the graph computes in steps of a quantized or of a half-precision number, a
thousandth in float32.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deployments.device import DeviceProfile
from edge_runtime.bundle import QUANTILES, Golden, Measured, Spread
from edge_runtime.errors import BundleError, MeasurementFailed, MeasurementInterrupted, SessionError
from edge_runtime.files import sha256_of
from edge_runtime.golden import write_golden
from edge_runtime.measurement import Measurement, MeasureRequest
from edge_runtime.model_files import check_model
from model_compression.onnx_files import computes_in_steps, model_tensors
from model_compression.training import Arrays
from quality_gates.evidence import ModelEvidence
from tasks.device_link import measure
from tasks.emulation import Emulator, answering_of, find_emulator
from tasks.errors import EmulatorMissing, RegistryError
from tasks.measurement.device_answers import timeout_of_answers
from tasks.measurement.device_measurement import MEASURED, check_measured, machine, request
from tasks.progress import as_task
from tasks.store import digest_of
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
CODE = (
    "edge_runtime.measurement", "tasks.device_link", "tasks.emulation", Golden, computes_in_steps, request,
    timeout_of_answers, __name__,
)  # fmt: skip
GOLDEN = "golden.npz"
DESCRIPTION = "acceptance.json"
GOLDEN_ROWS = 8
SPREAD_ROWS = 512
SPREAD_NUMBERS = 1 << 22
"""The most numbers of a tensor that its spread is taken of, unless one row has more."""
BATCHES = (1, 4, 16, 64)
STEPPED, SMOOTH = 2e-2, 1e-3
_WARMUP, _CALLS = 2, 20  # of each size of a batch
_LONGEST_S = 20.0  # that the calls of one size may take


@dataclass(frozen=True)
class Acceptance:
    """Acceptance data of one file: its golden vectors, its measured figures, and the spreads of its tensors."""

    golden_file: Path
    golden: Golden
    spreads: tuple[Spread, ...]
    measured: Measured

    def files(self, folder: Path) -> dict[str, Path]:
        """Return the files in which it is kept, by name; the description is written into a folder."""
        return {self.golden_file.name: self.golden_file, DESCRIPTION: self.describe(folder)}

    def describe(self, folder: Path) -> Path:
        """Write the description into a folder, and return its path."""
        content = {
            "golden": asdict(self.golden),
            "golden_sha256": sha256_of(self.golden_file),
            "spreads": [asdict(spread) for spread in self.spreads],
            "measured": asdict(self.measured),
        }
        path = folder / DESCRIPTION
        path.write_text(json.dumps(content, indent=2))
        return path

    @classmethod
    def read(cls, folder: Path) -> "Acceptance | None":
        """Read what lies beside a file; None, with a warning, where an older release of Edgewright kept nothing.

        Raises RegistryError for what was changed since, as a device would refuse it.
        """
        try:
            kept = json.loads((folder / DESCRIPTION).read_text())
            golden = Golden(**kept["golden"])
            if sha256_of(folder / golden.blob) != kept["golden_sha256"]:
                raise ValueError(f"another {golden.blob} than the one that was kept")
            spreads = tuple(Spread(**each | {"quantiles": tuple(each["quantiles"])}) for each in kept["spreads"])
            return cls(folder / golden.blob, golden, spreads, Measured(**kept["measured"]))
        except FileNotFoundError:
            if (folder / DESCRIPTION).exists():
                raise RegistryError(_damaged(folder, "no golden vectors")) from None
            logger.warning(
                "no acceptance data were kept with this file, so devices will refuse its bundle: compress the version "
                "again with --again"
            )
            return None
        except (ValueError, KeyError, TypeError, BundleError) as error:
            raise RegistryError(_damaged(folder, f"{type(error).__name__}: {error}")) from error


def _damaged(folder: Path, got: str) -> str:
    return (
        f"{folder.name}: expected the acceptance data that were kept with the file, got {got}; they were changed "
        "since: restore them, or compress the version again"
    )


def acceptance_of(context: DeviceContext, file: Path, measured: ModelEvidence) -> Acceptance:
    """Measure the acceptance data of a file on the calibration rows; they are computed once.

    `measured` is what the gates saw of it. Raises MeasurementFailed for a file that does not answer these rows, and
    MeasurementInterrupted, which says nothing about the file, also where it is no longer the one that was measured.
    """
    job, device = context.job, context.device
    inputs = tuple(array[:SPREAD_ROWS] for array in job.splits["calibration"].inputs)
    known = {} if measured.resources is None else _finite(measured.resources.known)
    digest, emulator = _unchanged(file, measured), _emulator(context)
    one = _OneFile(device, file, digest, inputs, emulator)

    def produce(folder: Path) -> dict[str, Any]:
        one.acceptance(folder).describe(folder)
        return {"rows": len(inputs[0])}

    asked = {
        "file": digest,
        "device": digest_of(json.loads(device.model_dump_json(include=MEASURED))),
        "emulator": None if emulator is None else emulator.identity,
        "machine": machine(device),
        **job.digests("calibration"),
    }
    stage = context.store.run("acceptance", asked, CODE, as_task("acceptance", f"acceptance {device.name}", produce))
    found = Acceptance.read(stage.folder)
    if found is None:
        raise MeasurementInterrupted(f"{stage.folder}: expected acceptance data, got none; compress the version again")
    # The gates' times are no part of the stage: those that did not compare are taken again after a restart.
    return replace(found, measured=replace(found.measured, figures=known))


def _unchanged(file: Path, measured: ModelEvidence) -> str:
    """Return the digest of a file that is still the one that was measured."""
    digest = str(measured.file_sha256)
    try:
        check_model(file, digest)
    except SessionError as error:
        raise MeasurementInterrupted(
            f"expected the model that was measured, got another. {error} Look at the disk and compress again"
        ) from error
    return digest


def _emulator(context: DeviceContext) -> Emulator | None:
    """Return what emulates the device's CPU where its profile asks for that; None where this machine's CPU answers."""
    cpu = answering_of(context.device).emulated
    try:
        return None if cpu is None else find_emulator(cpu, context.job.workspace.home)
    except EmulatorMissing as error:
        logger.warning("%s: the golden vectors are of this machine's CPU: %s", context.device.name, error)
        return None


@dataclass(frozen=True)
class _OneFile:
    """A file that is measured for a device, on calibration rows."""

    device: DeviceProfile
    file: Path
    digest: str
    inputs: Arrays
    emulator: Emulator | None

    def acceptance(self, folder: Path) -> Acceptance:
        """Measure everything but what the gates saw, and write the golden vectors into a folder."""
        seen = self._answers(self._request(self.inputs)).outputs
        taken, given = model_tensors(self.file)
        inputs, outputs = [spec.name for spec in taken], [spec.name for spec in given]
        arrays = dict(zip((*inputs, *outputs), (*self.inputs, *seen), strict=True))
        spreads = (_spread(name, array) for name, array in arrays.items())
        return Acceptance(
            folder / GOLDEN,
            self._golden(folder / GOLDEN, inputs, outputs),
            tuple(spread for spread in spreads if spread is not None),
            Measured(batch_ms=self._batch_curve()),
        )

    def _golden(self, path: Path, inputs: list[str], outputs: list[str]) -> Golden:
        """Write the golden vectors, and return their description.

        The rows are answered by themselves: a dynamically quantized answer depends on its batch mates.
        """
        asked = self._request(tuple(array[:GOLDEN_ROWS] for array in self.inputs))
        unlimited = replace(asked, memory_limit_mb=None)
        if self.emulator is None:
            answers = self._answers(asked).outputs
        else:
            emulated = self.emulator.measure(unlimited, timeout_of_answers(self.device))
            check_measured(self.file, emulated, self.digest)
            answers = emulated.outputs
        basic = replace(unlimited, settings=replace(asked.settings, optimization="basic"))
        share = STEPPED if computes_in_steps(self.file) else SMOOTH
        tolerance = {
            name: _tolerance(answer, other, share)
            for name, answer, other in zip(outputs, answers, self._answers(basic).outputs, strict=True)
        }
        write_golden(path, {name: asked.inputs[name] for name in inputs}, dict(zip(outputs, answers, strict=True)))
        return Golden(path.name, asked.rows, min(asked.batch_size, asked.rows), tolerance)

    def _batch_curve(self) -> dict[str, float]:
        """Return the median milliseconds of a call by its rows, up to the most that the device answers at once.

        It is empty for a device that answers one row at a time. Sizes that do not fit the device's memory are left out,
        and so are those whose calls would take too long.
        """
        most = min(self.device.max_batch, BATCHES[-1])
        sizes = sorted({size for size in BATCHES if size < most} | {most}) if most > 1 else []
        allowed_s = min(_LONGEST_S, self.device.measure.timeout_s / 4)
        curve: dict[str, float] = {}
        for size in sizes:
            slowest_of_a_row = max((each / int(rows) for rows, each in curve.items()), default=0.0)
            if slowest_of_a_row * size * (_WARMUP + _CALLS) > allowed_s * 1e3:
                break
            asked = self._request(tuple(array[:size] for array in self.inputs))
            timed = replace(asked, latency_warmup=_WARMUP, latency_repeats=_CALLS, latency_batch_size=size)
            try:
                curve[str(size)] = self._answers(timed).figures.latency_p50_ms
            except MeasurementInterrupted:
                raise
            except MeasurementFailed as error:
                logger.info("%s: no time of %d rows at once: %s", self.device.name, size, error)
        return curve

    def _request(self, inputs: Arrays) -> MeasureRequest:
        """Return the request to answer rows, and to time nothing."""
        return request(self.device, self.file, inputs, latency_warmup=0, latency_repeats=1)

    def _answers(self, asked: MeasureRequest) -> Measurement:
        seen = measure(asked, self.device.measure)
        check_measured(self.file, seen, self.digest)
        return seen


def _tolerance(answer: np.ndarray, other: np.ndarray, share: float) -> float:
    """Return by how much another CPU's answer to the golden rows may differ."""
    one, two = answer.astype(np.float64), other.astype(np.float64)
    differs, largest = np.abs(one - two).max(initial=0.0), np.abs(one).max(initial=0.0)
    return float(max(4 * differs, share * largest, 1e-6))


def _spread(name: str, array: np.ndarray) -> Spread | None:
    """Return the spread of a tensor's values; None for a tensor that has none, or has one that is no finite number."""
    rows = array[: max(1, SPREAD_NUMBERS // max(1, array[:1].size))]
    values = rows.astype(np.float64).ravel()
    if not values.size:
        return None
    with np.errstate(all="ignore"):
        quantiles = tuple(float(each) for each in np.quantile(values, QUANTILES))
        found = (float(values.mean()), float(values.std()))
    try:
        return Spread(name, len(rows), *found, quantiles)
    except BundleError:
        return None


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if np.isfinite(value)}
