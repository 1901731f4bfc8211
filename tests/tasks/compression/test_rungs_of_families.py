"""The files of a registered family: float, quantized after training and in training, each made once."""

from pathlib import Path

import numpy as np
import pytest

from deployments.recipe import read_recipe
from deployments.rungs import AsItIs, PostTraining, QuantizationAware, Rung
from deployments.workload import read_splits
from edge_runtime.model_files import graphs_of, heads_of, model_digest
from model_compression.onnx_files import graph_tensors
from tasks.compression import export_snapshot, make_file, measure_baseline
from tasks.job import Job
from tasks.measurement import measure_on
from tasks.upstream import resolve
from tasks.workspace import Workspace
from tests.end_to_end.tiny.family import FAMILY, register_family, write_family
from tests.end_to_end.tiny.variants import QAT
from tests.tasks.builders import on

RUNGS: dict[str, Rung] = {
    "float": AsItIs(kind="float"),
    "ptq": PostTraining(kind="ptq", calibration="minmax"),
    "qat": QuantizationAware.model_validate(QAT),
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory, tracking_uri: str) -> Job:
    folder = tmp_path_factory.mktemp("family")
    workspace = Workspace.at(folder / "home", tracking_uri)
    version = register_family(workspace)
    recipe = read_recipe(Path(write_family(folder)))
    workload = recipe.load_workload()
    return Job(FAMILY, version, recipe, workload, read_splits(workload), workspace)


def test_every_rung_makes_a_backbone_and_heads_that_answer_as_the_family(family: Job) -> None:
    begun = on(family, parent=resolve.fn(family))
    baseline = measure_baseline.fn(begun)
    assert family.tasks == ("digit", "odd")
    assert [head.name for head in heads_of(baseline.onnx)] == ["digit", "odd"]
    whole = measure_on(begun, baseline.onnx, "test").rows
    assert whole is not None
    digests, sizes = set(), {}
    for name, rung in RUNGS.items():
        file = make_file(begun, baseline.snapshot, rung)
        assert [spec.name for graph in graphs_of(file.path) for spec in graph_tensors(graph)[1]] == [
            "features", "digit", "odd",
        ]  # fmt: skip
        measured = measure_on(begun, file.path, "test")
        assert measured.rows is not None, measured.failure
        assert measured.file_sha256 == model_digest(file.path)
        digests.add(measured.file_sha256)
        sizes[name] = file.size_bytes
        for task, rows in measured.rows.groupby("task"):
            assert rows["score"].mean() > whole[whole["task"] == task]["score"].mean() - 0.05
    assert len(digests) == len(RUNGS) and max(sizes["ptq"], sizes["qat"]) < 0.5 * sizes["float"]


def test_a_file_is_made_once(family: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = on(family, parent=resolve.fn(family))
    snapshot = measure_baseline.fn(begun).snapshot
    first = make_file(begun, snapshot, RUNGS["ptq"])
    monkeypatch.setattr("tasks.compression.rung_files.family_by_rung", None)
    again = make_file(begun, snapshot, RUNGS["ptq"])
    assert again.path == first.path and again.digest == first.digest


def test_the_answers_of_the_float_file_are_those_of_torch(family: Job) -> None:
    begun = on(family, parent=resolve.fn(family))
    snapshot = measure_baseline.fn(begun).snapshot
    exported = export_snapshot(begun, snapshot)
    assert exported.path.parent.joinpath("heads.json").is_file()
    answered = np.load(begun.parent_outputs("validation"))
    assert answered.shape == (len(family.splits["validation"]), 12)
