"""From the registry to an ONNX parent: real files, run by ONNX Runtime on real rows before anything long starts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper

from deployments.workload import Split, SplitName
from model_compression.errors import IntakeError, QuantizationError
from tasks.compression import check_students, distil, make_file, measure_baseline, prune
from tasks.errors import PreflightError, RegistryError
from tasks.job import Job
from tasks.upstream import OnnxParent, resolve
from tasks.workspace import Workspace
from tests.end_to_end.tiny.onnx_upstream import register_graph
from tests.end_to_end.tiny.variants import QAT
from tests.end_to_end.tiny.variants import distil as distilling
from tests.model_compression.graphs import CLASSES, FEATURES, WEIGHTS, across_rows, against_rows, graph, reshaped_to_one
from tests.tasks.builders import context, on
from tests.tasks.climbing import recipe_of
from tests.tasks.registry.versions import add_version
from tests.tasks.tiny import Blobs, job


def registered(workspace: Workspace, model: ModelProto, folder: Path) -> Job:
    """A job for a version made by hand: MLflow's own way takes seconds."""
    (folder / "version").mkdir()
    onnx.save_model(model, folder / "version" / "model.onnx")
    described = "flavors: {onnx: {data: model.onnx}}\nmodel_uuid: 00000000000000000000000000000000\n"
    (folder / "version" / "MLmodel").write_text(described)
    return job(workspace, "graph", add_version(workspace.tracking_uri, "graph", folder / "version"))


def answered(workspace: Workspace, model: ModelProto, folder: Path) -> tuple[Job, OnnxParent]:
    asked = registered(workspace, model, folder)
    parent = resolve.fn(asked)
    assert isinstance(parent, OnnxParent)
    return asked, parent


def test_the_file_answers_as_it_was_registered(workspace: Workspace, tmp_path: Path) -> None:
    asked, parent = answered(workspace, graph(), tmp_path)
    rows = asked.splits["test"].inputs
    np.testing.assert_allclose(parent.answers(rows), rows[0] @ WEIGHTS, rtol=1e-4)
    assert parent.footprint() == (WEIGHTS.size, WEIGHTS.size)
    again = resolve.fn(asked)
    assert (again.digest, again.file) == (parent.digest, parent.file)  # type: ignore[union-attr]


def test_weights_that_mlflow_stores_beside_the_file_are_taken_in(workspace: Workspace) -> None:
    weights = np.zeros((FEATURES, 500), np.float32)  # below a kilobyte, onnx leaves them in the file
    version = register_graph(workspace.tracking_uri, "beside", graph(weights=weights))
    parent = resolve.fn(job(workspace, "beside", version))
    assert isinstance(parent, OnnxParent)
    assert [path.name for path in parent.file.parent.iterdir() if path.suffix != ".json"] == ["graph.onnx"]
    assert parent.footprint() == (weights.size, weights.size)


def test_a_batch_size_of_one_is_opened_where_the_graph_takes_more(workspace: Workspace, tmp_path: Path) -> None:
    asked, parent = answered(workspace, graph(batch=1), tmp_path)
    assert parent.answers(asked.splits["test"].inputs).shape == (30, CLASSES)


def custom_operator() -> ModelProto:
    return graph([helper.make_node("Fancy", ["x", "w"], ["y"], domain="com.example")], domain="com.example")


def not_finite() -> ModelProto:
    return graph(weights=np.full((FEATURES, CLASSES), np.nan, np.float32))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (custom_operator, r"com\.example:Fancy.* is not a registered function.*operators and an opset that this ONNX"),
        (lambda: graph(opset=99), r"Opset 99 is under development.*; export it again with .* an opset that this ONNX"),
        (lambda: graph(batch=2), r"got a fixed batch size of 2 .*; export it again with a dynamic first axis"),
        (
            reshaped_to_one,
            r"to answer the workload's rows, 24 at a time, .*; export it again with a dynamic first axis",
        ),
        (across_rows, r"the same alone as among others, got .* that differ by .*; export it again in evaluation mode"),
        (against_rows, r"got answers of shape \(8, 1\) and \(8, 24\) that differ by inf of their span; export it"),
        (not_finite, r"expected finite numbers, got NaN or an infinity in 24 of 24 rows, first .* finite weights"),
    ],
    ids=["custom operator", "opset", "fixed batch", "reshape", "across rows", "a column for each row", "not finite"],
)
def test_what_onnx_runtime_cannot_answer_with_is_refused(
    make: Callable[[], ModelProto], says: str, workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(IntakeError, match=says) as caught:
        resolve.fn(registered(workspace, make(), tmp_path))
    assert "\n" not in str(caught.value)


class Rows(Blobs):
    """The clouds of points in another form."""

    def __init__(self, form: Callable[[np.ndarray], tuple[np.ndarray, ...]]) -> None:
        self.form = form

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return replace(split, inputs=self.form(split.inputs[0]))


@pytest.mark.parametrize(
    ("form", "got"),
    [
        (lambda rows: (rows.astype(np.float64),), r"float64 \(rows, 6\)"),
        (lambda rows: (rows.astype(np.float16),), r"float16 \(rows, 6\)"),
        (lambda rows: (rows[:, :, None],), r"float32 \(rows, 6, 1\)"),
        (lambda rows: (rows, rows), r"float32 \(rows, 6\); float32 \(rows, 6\)"),
    ],
    ids=["float64", "float16", "rank", "two inputs"],
)
def test_rows_that_the_file_does_not_take_are_refused(
    form: Any, got: str, workspace: Workspace, tmp_path: Path
) -> None:
    asked = registered(workspace, graph(), tmp_path)
    workload = Rows(form)
    other = job(workspace, "graph", asked.version, workload=workload)
    with pytest.raises(PreflightError, match=rf"as float32 \(rows, 6\), got {got}; change what Workload\.split"):
        resolve.fn(other)


def test_a_version_without_its_file_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    asked = registered(workspace, graph(), tmp_path)
    (tmp_path / "version" / "model.onnx").unlink()
    with pytest.raises(RegistryError, match=r"a pickled module or an ONNX file, got none of them; log it again"):
        resolve.fn(asked)


def test_nothing_of_it_is_trained(workspace: Workspace, tmp_path: Path) -> None:
    asked, parent = answered(workspace, graph(), tmp_path)
    ladder = [{"kind": "ptq", "calibration": "minmax"}, QAT]
    same = {"workload": asked.recipe.workload, "devices": asked.recipe.devices}
    asked = replace(asked, recipe=recipe_of(ladder, distil=distilling(), **same))
    (device,) = asked.recipe.devices
    begun = on(asked, device, parent)
    check_students(begun)
    assert distil.fn(begun) is None
    baseline = measure_baseline.fn(begun)
    assert onnx.load(baseline.onnx) == onnx.load(parent.file)
    trajectory = prune.fn(begun, baseline)
    assert (trajectory.snapshots, trajectory.undone) == ((baseline.snapshot,), ())
    assert [rung.title for rung in begun.rungs] == ["PTQ minmax"]
    with pytest.raises(QuantizationError, match=r"expected a torch program for QAT, got an ONNX file; for that, reg"):
        make_file(begun, baseline.snapshot, asked.recipe.ladder[1])
    stages = {path.name for path in asked.workspace.store.root.iterdir()}
    assert stages == {"program", "parent-outputs", "portable", "ptq"}
    assert len(list((asked.workspace.store.root / "parent-outputs").iterdir())) == 1  # the training rows teach no one


@pytest.mark.parametrize(
    ("ladder", "says"),
    [
        ([{"kind": "float"}], "Nothing was pruned: this version is an ONNX file"),
        ([{"kind": "float"}, QAT], "Nothing was pruned and QAT was not tried: this version is an ONNX file"),
    ],
)
def test_what_was_left_out_is_said(ladder: list[Any], says: str, workspace: Workspace, tmp_path: Path) -> None:
    asked, parent = answered(workspace, graph(), tmp_path)
    device = asked.recipe.devices[0].model_copy(update={"precisions": ("int8", "fp32")})
    asked = replace(asked, recipe=recipe_of(ladder, devices=[device.model_dump()]))
    (sentence,) = on(asked, device, parent).left_out
    assert sentence.startswith(says)


def powers() -> ModelProto:
    """A graph without weights and without an operator that any quantizer knows."""
    return graph([helper.make_node("Erf", ["x"], ["y"])])


@pytest.mark.parametrize("kind", ["ptq", "mixed", "dynamic", "int4"])
def test_a_graph_that_no_rung_quantizes_stops_before_pruning(kind: str, workspace: Workspace, tmp_path: Path) -> None:
    asked, parent = answered(workspace, powers(), tmp_path)
    rungs: dict[str, dict[str, Any]] = {
        "ptq": {"kind": "ptq", "calibration": "minmax"},
        "mixed": {"kind": "mixed", "calibration": "minmax", "at_most": 1, "tolerance": 0.1},
        "dynamic": {"kind": "dynamic"},
        "int4": {"kind": "int4", "block_size": 16},
    }
    device = asked.recipe.devices[0].model_copy(update={"precisions": ("int8", "int4")})
    asked = replace(asked, recipe=recipe_of([rungs[kind]], devices=[device.model_dump()]))
    with pytest.raises(QuantizationError, match=r"a rung that this model takes for bench, got none \(.*add `float`"):
        measure_baseline.fn(context(asked, parent))


def test_a_graph_that_no_rung_quantizes_goes_on_in_float(workspace: Workspace, tmp_path: Path) -> None:
    asked, parent = answered(workspace, powers(), tmp_path)
    device = asked.recipe.devices[0].model_copy(update={"precisions": ("int8", "fp32")})
    ladder = [{"kind": "ptq", "calibration": "minmax"}, {"kind": "float"}]
    asked = replace(asked, recipe=recipe_of(ladder, devices=[device.model_dump()]))
    begun = on(asked, parent=parent)
    baseline = measure_baseline.fn(begun)
    assert baseline.graph_bytes == parent.file.stat().st_size - baseline.snapshot.weight_bytes
    with pytest.raises(QuantizationError, match=r"operators that ONNX Runtime quantizes statically, found none; drop"):
        make_file(begun, baseline.snapshot, asked.recipe.ladder[0])
