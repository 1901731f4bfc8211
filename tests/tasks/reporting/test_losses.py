"""Losses of each layer: real graphs with one layer at a time in INT8, told in accuracy, in slices and in answers."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tasks.compression.rung_files
import tasks.reporting.losses
from deployments.workload import Split
from quality_gates.gates import NonInferiority
from quality_gates.policy import SliceCondition
from tasks.job import Job
from tasks.reporting.losses import LayerLosses, layer_losses
from tasks.workspace import Workspace
from tests.tasks.builders import on
from tests.tasks.tiny import FEATURES, LABELS, ROWS, device, example, job

OF_C = NonInferiority(
    name="c", metric="accuracy", against="parent", margin=0.1, confidence=0.95,
    slice=SliceCondition(column="label", equals="c"),
)  # fmt: skip
SWALLOWED = 1e5  # what the second layer puts out beside its answers, and the ELU behind it swallows


def network(swallowed: float = 0.0) -> nn.Sequential:
    """Three layers that about name the largest of the first three inputs, which is what tells the clouds of points.

    The second one's output reaches down to -`swallowed`, where INT8 has no steps left for the rest. No kernel computes
    the ELU with its layer, so the range of the layer is that before it.
    """
    torch.manual_seed(0)
    layers = [nn.Linear(*shape) for shape in ((FEATURES, 4), (4, 4), (4, len(LABELS)))]
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(torch.eye(*layer.weight.shape) + 0.1 * torch.rand(layer.weight.shape))
            layer.bias.zero_()
        layers[1].bias[3] = -swallowed
        layers[2].weight[:, 3] = 0
    first, second, third = layers
    return nn.Sequential(first, nn.ReLU(), second, nn.ELU(), third).eval()


def trained(model: nn.Module, digest: str = "snapshot") -> Any:
    return SimpleNamespace(snapshot=SimpleNamespace(digest=digest, title="tiny", load=lambda _: model))


def losses(job: Job, model: nn.Module, **changes: Any) -> LayerLosses:
    parent: Any = SimpleNamespace(digest="parent", example=(torch.from_numpy(example(4)),), names=("x",))
    return layer_losses.fn(on(job, device(**changes), parent), trained(model))


@pytest.fixture
def clouds(tmp_path: Any) -> Job:
    """The rows that are judged are those that ranges were taken from, so that nothing is clipped by chance."""
    tiny = job(Workspace.at(tmp_path, "sqlite:///unused"), gates=(OF_C,))
    return replace(tiny, splits={**tiny.splits, "calibration": tiny.splits["validation"]})


def test_every_layer_has_a_line_in_the_graphs_order(clouds: Job) -> None:
    found = losses(clouds, network())
    assert [row.layer for row in found.rows] == ["0", "2", "4"]
    assert (found.validation_rows, found.failure) == (ROWS["validation"], None)
    assert all(row.output_change is not None and 0 < row.output_change < 0.02 for row in found.rows)
    assert [value.name for row in found.rows for value in row.slices] == ["label = c"] * 3


def test_a_layer_that_int8_breaks_is_the_one_that_lost(clouds: Job) -> None:
    first, second, third = losses(clouds, network(SWALLOWED)).rows
    assert (first.change, third.change) == (0, 0)
    # without its steps every row is answered with the first class: two in three are lost, among them all of class c
    assert second.change == pytest.approx(-2 / 3, abs=0.05)
    assert second.slices[0].value == pytest.approx(-1, abs=0.1)
    assert second.output_change is not None and second.output_change > 0.9


def test_the_loss_in_a_slice_is_that_of_its_own_rows(clouds: Job) -> None:
    of_a = OF_C.model_copy(update={"name": "a", "slice": SliceCondition(column="label", equals="a")})
    both = replace(clouds, recipe=clouds.recipe.model_copy(update={"gates": (OF_C, of_a)}))
    _, second, _ = losses(both, network(SWALLOWED)).rows
    of_class_c, of_class_a = (value.value for value in second.slices)
    assert of_class_c == pytest.approx(-1, abs=0.1)
    assert of_class_a is not None and of_class_a >= 0


def test_seven_bits_of_a_saturating_device_change_the_answers_more(clouds: Job) -> None:
    changes = {
        name: sum(row.output_change or 0 for row in losses(clouds, network(), instruction_set=name).rows)
        for name in ("avx512_vnni", "avx2")
    }
    assert changes["avx2"] > changes["avx512_vnni"]


def test_at_most_so_many_rows_are_looked_at_evenly_spread(clouds: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.compression.rung_files, "ROWS", 7)
    kept = tasks.compression.rung_files.some_rows(clouds.splits["validation"])
    whole = clouds.splits["validation"]
    places = [int(np.flatnonzero((whole.inputs[0] == row).all(axis=1))[0]) for row in kept.inputs[0]]
    assert (places[0], places[-1], len(kept)) == (0, len(whole) - 1, 7)
    assert set(np.diff(places)) <= {3, 4}
    assert list(kept.slices["label"]) == list(LABELS[kept.targets]) == [LABELS[place % 3] for place in places]
    found = losses(clouds, network())
    assert found.validation_rows == 7 and len(found.rows) == 3


def test_a_slice_that_an_even_spread_misses_has_its_rows_besides(clouds: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.compression.rung_files, "ROWS", 3)
    rare = SliceCondition(column="label", equals="b")
    whole = clouds.splits["validation"]
    kept, spread = tasks.compression.rung_files.rows_with_slices(whole, [rare])
    assert "b" not in set(kept.slices["label"][spread]) or spread.sum() == 3
    assert (kept.slices["label"] == "b").sum() == (whole.slices["label"] == "b").sum()
    missing = SliceCondition(column="label", equals="nowhere")
    assert len(tasks.compression.rung_files.rows_with_slices(whole, [missing])[0]) == 3


def test_a_gate_on_another_slice_looks_at_its_rows_too(clouds: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.compression.rung_files, "ROWS", 3)
    assert len(losses(clouds, network()).rows[0].slices) == 1
    of_b = OF_C.model_copy(update={"name": "b", "slice": SliceCondition(column="label", equals="b")})
    both = replace(clouds, recipe=clouds.recipe.model_copy(update={"gates": (OF_C, of_b)}))
    assert [value.name for value in losses(both, network()).rows[0].slices] == ["label = c", "label = b"]


def test_a_second_look_computes_nothing(clouds: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    first = losses(clouds, network(SWALLOWED))
    monkeypatch.setattr(tasks.reporting.losses, "one_layer_at_a_time", lambda *_, **__: pytest.fail("computed again"))
    assert losses(clouds, network(SWALLOWED)) == first


def test_other_calibration_rows_are_another_question(clouds: Job) -> None:
    calm = losses(clouds, network()).rows[0].output_change
    split = clouds.splits["calibration"]
    wide = Split((split.inputs[0] * 50,), split.targets, split.slices)
    wild = losses(replace(clouds, splits={**clouds.splits, "calibration": wide}), network()).rows[0].output_change
    assert calm is not None and wild is not None and wild > 5 * calm


def test_a_model_without_weights_has_no_lines_and_no_failure(clouds: Job) -> None:
    assert losses(clouds, nn.Sequential(nn.ReLU()).eval()) == LayerLosses((), ROWS["validation"], None)


def test_what_cannot_be_quantized_says_why(clouds: Job, warned: list[str]) -> None:
    split = clouds.splits["calibration"]
    narrow = Split((split.inputs[0][:, :2],), split.targets, split.slices)
    found = losses(replace(clouds, splits={**clouds.splits, "calibration": narrow}), network())
    assert found.rows == () and found.validation_rows == ROWS["validation"]
    assert found.failure is not None and "expected model.onnx to quantize with 24 calibration rows" in found.failure
    assert any(found.failure in message for message in warned)
