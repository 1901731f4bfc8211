"""`make bench-emulators`: answers of shipped files and of naive files on other instruction sets."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.markdown import Markdown
from torch import nn

from deployments.instruction_sets import CPUS, SATURATING, CpuName
from deployments.workload import Split
from deployments.workloads.fashion_mnist import FashionMnist
from edge_runtime.cpu import this_instruction_set
from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.settings import SessionSettings
from flows.demo.example_networks import resnet
from model_compression.onnx_files import export_onnx
from model_compression.quantization import quantize_after_training, train_quantized
from model_compression.training import FineTuning, fine_tune
from quality_gates.evidence import Evidence, ModelEvidence, ParityMeasurement
from quality_gates.gates import Parity
from tasks.emulation import find_emulator
from tasks.selection.parity_runs import ROWS as PARITY_ROWS
from tasks.workspace import Workspace
from tests.benchmarks.record import Figure, record

TARGETS: tuple[CpuName, ...] = ("Haswell", "cortex-a72", "neoverse-n1")
TRAIN_ROWS, ROWS = 8_000, 1_000
TRAINING = FineTuning(
    epochs=4, batch_size=64, learning_rate=4e-3, weight_decay=1e-2, temperature=1, distillation_weight=0, seed=0
)
QAT = FineTuning(
    epochs=1, batch_size=64, learning_rate=2e-4, weight_decay=0, temperature=1, distillation_weight=0, seed=0
)
PARITY = Parity(name="target", check="emulated_native", at_most=0.02, rows_at_most=0.0)
TIMEOUT_S = 3600
console = Console()


class File(NamedTuple):
    """The technique that quantized a file; `reduced` if its weights keep to 7 bits."""

    technique: str
    reduced: bool

    def __str__(self) -> str:
        return f"{self.technique}, {'reduced' if self.reduced else 'full'} range"


@dataclass(frozen=True)
class Seen:
    """Answers of one file on one CPU, beside its answers on this machine's CPU."""

    outputs: np.ndarray
    native: np.ndarray
    labels: np.ndarray
    seconds: float

    @property
    def accuracy(self) -> float:
        return self._accuracy(self.outputs)

    @property
    def points(self) -> float:
        """Accuracy gained on this CPU against this machine's, in points."""
        return 100 * (self.accuracy - self._accuracy(self.native))

    @property
    def differing(self) -> int:
        return self._differing(ROWS)

    @property
    def largest(self) -> float:
        """The largest difference of an output, as a share of the largest output."""
        return self._largest(ROWS)

    @property
    def parity(self) -> bool:
        """True if the pipeline's parity gate passes on the rows that it looks at."""
        measured = ParityMeasurement(
            "emulated_native", PARITY_ROWS, self._differing(PARITY_ROWS), self._largest(PARITY_ROWS)
        )
        evidence = Evidence(ModelEvidence(None, None), None, None, parity=(measured,))
        return PARITY.evaluate(evidence).outcome == "pass"

    def _accuracy(self, outputs: np.ndarray) -> float:
        return float((outputs.argmax(axis=1) == self.labels).mean())

    def _differing(self, rows: int) -> int:
        return int((self.outputs[:rows].argmax(axis=1) != self.native[:rows].argmax(axis=1)).sum())

    def _largest(self, rows: int) -> float:
        return float(np.abs(self.outputs[:rows] - self.native[:rows]).max() / np.abs(self.native[:rows]).max())


def main() -> None:
    """Quantize for each class of CPU, answer the same rows on all of them, and record."""
    workload = FashionMnist()
    test = workload.split("test")
    rows = Split((test.inputs[0][:ROWS],), test.targets[:ROWS], test.slices[:ROWS])
    with tempfile.TemporaryDirectory() as folder:
        files = dict(_files(workload, Path(folder)))
        seen = {(target, name): each for name, path in files.items() for target, each in _seen(rows, name, path)}
    console.print(Markdown(record("emulators", "make bench-emulators", list(_figures(seen)), _notes(seen))))


def _files(workload: FashionMnist, folder: Path) -> Iterator[tuple[File, Path]]:
    train, calibration = workload.split("train"), workload.split("calibration")
    images, labels = train.inputs[0][:TRAIN_ROWS], train.targets[:TRAIN_ROWS]
    model, example = _trained(images, labels), (torch.from_numpy(images[:2]),)
    whole = export_onnx(model, example, ["x"], folder / "float.onnx")
    for reduced in (False, True):
        path = folder / f"ptq-{reduced}.onnx"
        yield (
            File("PTQ", reduced),
            quantize_after_training(whole, calibration.inputs, path, method="minmax", reduce_range=reduced),
        )
        console.print(f"QAT on {TRAIN_ROWS:,} rows ...")
        path = train_quantized(
            model, example, calibration.inputs, (images,), labels, None, F.cross_entropy, QAT, reduce_range=reduced,
            names=["x"], path=folder / f"qat-{reduced}.onnx",
        )  # fmt: skip
        yield File("QAT", reduced), path


def _trained(images: np.ndarray, labels: np.ndarray) -> nn.Module:
    torch.manual_seed(0)
    model = resnet()
    console.print(f"Training on {TRAIN_ROWS:,} rows ...")
    fine_tune(model, (images,), labels, None, F.cross_entropy, TRAINING)
    return model.eval()


def _seen(rows: Split, name: File, path: Path) -> Iterator[tuple[str, Seen]]:
    """Yield the answers of a file on each CPU, beginning with this machine's."""
    asked = MeasureRequest(
        path, {"x": rows.inputs[0]}, SessionSettings(1), batch_size=8, latency_warmup=0, latency_repeats=1
    )
    native = measure(asked, TIMEOUT_S).outputs[0]
    yield "native", Seen(native, native, rows.targets, 0.0)
    for target in TARGETS:
        console.print(f"Answering {ROWS:,} rows with {name} on an emulated {target} ...")
        began = time.monotonic()
        outputs = find_emulator(CPUS[target], Workspace.from_environment().home).measure(asked, TIMEOUT_S).outputs[0]
        yield target, Seen(outputs, native, rows.targets, time.monotonic() - began)


def _figures(seen: dict[tuple[str, File], Seen]) -> Iterator[Figure]:
    for target in TARGETS:
        saturates = CPUS[target].instruction_set in SATURATING
        for technique in ("PTQ", "QAT"):
            shipped = seen[target, File(technique, saturates)]
            title = f"{target} ({CPUS[target].instruction_set}), {technique} as shipped"
            yield Figure(f"{title}: rows answered differently", shipped.differing, 0, "rows", "at_most")
            if saturates:
                naive = seen[target, File(technique, False)]
                yield Figure("... the naive file: rows answered differently", naive.differing, 0, "rows", "at_most")
                yield Figure("... the naive file: accuracy against native", naive.points, -0.1, "points", "at_least")
    trusted = [each.differing for (target, _), each in seen.items() if target != "native" and each.parity]
    yield Figure("files and CPUs with parity by the gate", len(trusted), 1, "pairs", "at_least")
    yield Figure("... rows that these answer differently, all together", sum(trusted), 0, "rows", "at_most")


def _notes(seen: dict[tuple[str, File], Seen]) -> str:
    lines = [
        "| CPU | file | accuracy | rows differing | largest difference | parity gate | ms an image, emulated |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (target, name), each in seen.items():
        native = target == "native"
        where = f"native ({this_instruction_set()})" if native else f"{target} ({CPUS[target].instruction_set})"
        held = "" if native else "pass" if each.parity else "**fail**"
        spent = "" if native else f"{1000 * each.seconds / ROWS:.0f}"
        differs = f"{each.differing} | {100 * each.largest:.2f} %"
        lines.append(f"| {where} | {name} | {each.accuracy:.3f} | {differs} | {held} | {spent} |")
    return "\n".join([NOTES, "", *lines])


NOTES = f"""\
A ResNet of 78,000 parameters, trained on {TRAIN_ROWS:,} rows of Fashion-MNIST, quantized after training (PTQ, min-max)
or in training (QAT, one epoch), asked for the first {ROWS:,} test rows on this machine's CPU and under QEMU's user
mode. *As shipped* is what the pipeline makes for a class of CPU: 7-bit weights (reduced range) where the 8-bit dot
product saturates, 8-bit ones elsewhere; the naive file has 8-bit weights there too. Differences are against the same
file on this machine's CPU, the largest one as a share of the largest output. The parity gate looks at {PARITY_ROWS}
rows as it does in the pipeline, and allows a difference of {100 * PARITY.at_most:g} % and no other answer. The time of
an emulated image, the start of the process included, says nothing of a device."""


if __name__ == "__main__":
    main()
