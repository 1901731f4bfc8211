"""The pipeline's steps on one architecture: intake, what may go, one round, export, and files of integers."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.model_files import model_bytes
from edge_runtime.settings import SessionSettings
from model_compression.errors import ExportError, PruningError
from model_compression.intake import (
    check_dynamic_batch,
    check_equal,
    input_specs,
    keep_output,
    kept_as_they_are,
    load_program,
    output_names,
    rebuild,
)
from model_compression.onnx_files import check_shrunk, export_onnx
from model_compression.pruning import (
    costs_of,
    parameters,
    protected_units,
    remove_units,
    removed_units,
    replay,
    save_snapshot,
    unit_scores,
    units_of,
)
from model_compression.quantization import answers, quantize_after_training
from model_compression.settings import Kind
from model_compression.training import FineTuning, batches, fine_tune, predict, tensors
from tests.benchmarks.zoo.data import Data
from tests.benchmarks.zoo.measured.files import FLOAT, PROGRAM, PTQ, SNAPSHOT
from tests.benchmarks.zoo.measured.journal import Journal
from tests.benchmarks.zoo.measured.positions import TOLERANCE, differs, places_left
from tests.benchmarks.zoo.models import Entry

ASKED = 0.3
ROUND_TO = 2
KINDS: tuple[Kind, ...] = ("channels", "heads")  # what torch-pruning removes too; layers are counted alone
SMALL = 500_000  # parameters up to which a model is settled for longer
PARITY, PARITY_ROWS, TIMEOUT_S = 1e-3, 32, 120.0
CHECKED_ROWS, BATCH = 64, 32
SETTINGS = FineTuning(
    epochs=1, batch_size=BATCH, learning_rate=5e-4, weight_decay=0.0, temperature=2.0, distillation_weight=0.0, seed=0,
    device="cpu", precision="float32",
)  # fmt: skip


class Ours:
    """One architecture on its way; each step goes on from the one before it and writes into the journal."""

    def __init__(self, entry: Entry, data: Data, folder: Path, journal: Journal) -> None:
        self.entry, self.data, self.folder, self.journal = entry, data, folder, journal
        self.example = tensors(tuple(array[:4] for array in data.validation.inputs))
        self.names: tuple[str, ...] = ()
        self.model: nn.Module | None = None

    def take(self, registered: nn.Module) -> None:
        """Take the registered model through all steps, as far as it gets."""
        if self._intake(registered) and self._round() and self._export():
            self._ptq()

    def _intake(self, registered: nn.Module) -> bool:
        with self.journal.step("program"):
            batch = torch.export.Dim("batch")
            shapes: Any = tuple({0: batch} for _ in self.example)
            program = torch.export.export(registered.eval(), self.example, dynamic_shapes=(shapes,) if _takes_all(
                registered) else shapes)  # fmt: skip
            torch.export.save(program, self.folder / PROGRAM)
        if not self.journal.went_well("program"):
            return False
        with self.journal.step("intake") as found:
            program = scored_program(self.folder / PROGRAM)
            check_dynamic_batch(program)
            self.model = rebuild(program)
            rows = tensors(tuple(array[:CHECKED_ROWS] for array in self.data.validation.inputs))
            found["difference"] = check_equal(program, self.model, rows)
            self.names = tuple(str(spec.name) for spec in input_specs(program))
            found["kept"] = [kept.name for kept in kept_as_they_are(self.model)]
            found["parameters"] = parameters(self.model)
        return self.journal.went_well("intake")

    def _round(self) -> bool:
        model = self._known()
        with self.journal.step("found") as found:
            protected = protected_units(model, self.example)
            units = units_of(model, self.example, ("channels", "heads", "layers"), protected)
            found |= {kind: units.count(kind) for kind in ("channels", "heads", "layers")}
            found["protected"] = [[each.layer, each.reason[:160]] for each in protected]
        if not self.journal.went_well("found"):
            return False
        whole = copy.deepcopy(model)
        with self.journal.step("round") as found:
            units = units_of(model, self.example, KINDS, protected)
            calibration = self.data.calibration
            rows = batches(calibration.inputs, calibration.targets, BATCH)
            scores = unit_scores(model, rows, self.data.loss, "taylor", ())
            costs, before = costs_of(model, self.example, "bytes"), parameters(model)
            most = copy.deepcopy(model)
            try:
                remove_units(
                    most, self.example, units_of(most, self.example, KINDS, protected), scores, 1.0, round_to=ROUND_TO,
                    costs=costs,
                )  # fmt: skip
                found["most"] = 1 - parameters(most) / before
                history = remove_units(model, self.example, units, scores, ASKED, round_to=ROUND_TO, costs=costs)
            except PruningError as error:
                history, found["nothing"] = [], str(error)
            found |= {"share": 1 - parameters(model) / before, "removed": removed_units(history)}
        if not self.journal.went_well("round"):
            return False
        with self.journal.step("silencing") as found:
            found["difference"] = self._checked(whole, model, history)
        with self.journal.step("fine-tune") as found:
            train, teacher = self.data.train, predict(whole, self.data.train.inputs)
            fine_tune(model, train.inputs, train.targets, teacher, self.data.loss, SETTINGS)
            found["score"] = self.data.score(predict(model, self.data.validation.inputs))
            save_snapshot(self.folder / SNAPSHOT, model, history)
            found["parent"] = self.data.score(predict(whole, self.data.validation.inputs))
        return self.journal.went_well("fine-tune")

    def _checked(self, whole: nn.Module, pruned: nn.Module, history: Any) -> float:
        again, left = places_left(whole, lambda copied: replay(copied, self.example, history))
        for name, value in pruned.named_parameters():
            if not torch.equal(value, dict(again.named_parameters())[name]):
                raise ValueError(f"expected the numbers of {name} that are left to be those of the parent, got others")
        found = differs(whole, again, left, self.example)
        if not found <= TOLERANCE:
            raise ValueError(f"expected removal to answer as silencing, got a difference of {found:.3g}")
        return found

    def _export(self) -> bool:
        model, path = self._known(), self.folder / FLOAT
        with self.journal.step("export") as found:
            export_onnx(model, self.example, self.names, path)
            check_shrunk(model, path)
            rows = tuple(array[:PARITY_ROWS] for array in self.data.validation.inputs)
            expected = predict(model, rows)
            inputs = dict(zip(self.names, rows, strict=True))
            asked = MeasureRequest(
                path, inputs, SessionSettings(threads=1), len(expected), latency_warmup=0, latency_repeats=1
            )
            (got,) = measure(asked, TIMEOUT_S).outputs
            found |= {"parity": _parity(got, expected), "bytes": model_bytes(path)}
            found["score"] = self.data.score(answers(path, self.data.validation.inputs))
            if not found["parity"] <= PARITY:
                raise ExportError(
                    f"expected ONNX Runtime to answer as torch, got a difference of {found['parity']:.3g}"
                )
        return self.journal.went_well("export")

    def _ptq(self) -> None:
        path = self.folder / PTQ
        with self.journal.step("ptq") as found:
            calibration = self.data.calibration.inputs
            quantize_after_training(self.folder / FLOAT, calibration, path, method="minmax", reduce_range=False)
            found.update(seen(path, self.data))

    def _known(self) -> nn.Module:
        if self.model is None:
            raise ValueError("expected a model that went through intake, got none")
        return self.model


def scored_program(path: Path) -> ExportedProgram:
    """Read a program; of several outputs it keeps the first, as a workload does that names the one that is scored."""
    program = load_program(path)
    outputs = output_names(program)
    if len(outputs) > 1:
        keep_output(program, outputs[0])
    return program


def settled(model: nn.Module, data: Data) -> nn.Module:
    """Train a fresh model for a short while, so that its weights and statistics are those of data; returns it."""
    train = data.train
    epochs = 6 if sum(weight.numel() for weight in model.parameters()) < SMALL else 4
    short = replace(SETTINGS, epochs=epochs, learning_rate=2e-3)
    fine_tune(model, train.inputs, train.targets, None, data.loss, short)
    return model.eval()


def seen(path: Path, data: Data) -> dict[str, float]:
    """Return the bytes of a file and its score on validation."""
    return {"bytes": model_bytes(path), "score": data.score(answers(path, data.validation.inputs))}


def _takes_all(model: nn.Module) -> bool:
    """Tell whether forward() takes its inputs as *rows, whose shapes torch.export wants in a tuple of their own."""
    return model.forward.__code__.co_flags & 0x04 != 0


def _parity(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got - expected).max() / max(1e-12, np.abs(expected).max()))
