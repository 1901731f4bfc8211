"""Runs: taken up again after a kill, logged as MLflow takes it, answered once."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run

from tasks.errors import RegistryError, RegistryUnavailable
from tasks.registry import Runs


@pytest.fixture
def runs(tracking_uri: str, request: pytest.FixtureRequest) -> Runs:
    """The runs of a model of each test's own."""
    return Runs(tracking_uri, str(request.node.name).partition("[")[0])


def read(runs: Runs, run: str) -> Run:
    return runs.client.get_run(run)


def test_a_version_and_recipe_have_one_parent_run(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {"edgewright.recipe": "r"})
    assert runs.parent("1", "key", "m v1", {}) == run
    assert runs.parent("2", "key", "m v2", {}) != run
    assert runs.parent("1", "other", "m v1", {}) != run
    tags = read(runs, run).data.tags
    assert tags["edgewright.recipe"] == "r"
    assert tags["edgewright.version"] == "1"


def test_a_run_that_failed_is_taken_up_again(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {})
    runs.finish(run, failed=True)
    assert read(runs, run).info.status == "FAILED"
    assert runs.parent("1", "key", "m v1", {}) == run
    assert read(runs, run).info.status == "RUNNING"


def test_a_run_that_fails_ends_with_its_open_children(runs: Runs) -> None:
    parent = runs.parent("1", "closing", "m v1", {})
    done, left = runs.child(parent, "done"), runs.child(parent, "left")
    runs.finish(done)
    runs.finish(parent, failed=True)
    status = {name: runs.client.get_run(run).info.status for name, run in (("done", done), ("left", left))}
    assert status == {"done": "FINISHED", "left": "FAILED"}
    assert runs.find_child(parent, "left") == left
    assert runs.find_child(parent, "never begun") is None


def test_a_stage_has_one_child_run(runs: Runs) -> None:
    parent = runs.parent("1", "key", "m v1", {})
    child = runs.child(parent, "gateway")
    assert runs.child(parent, "gateway") == child
    assert runs.child(parent, "camera") != child
    assert runs.child(runs.parent("2", "key", "m v2", {}), "gateway") != child
    assert read(runs, child).data.tags["mlflow.parentRunId"] == parent
    assert read(runs, child).info.run_name == "gateway"


def test_a_run_is_named_by_what_came_of_it(runs: Runs) -> None:
    parent = runs.parent("3", "named", f"{runs.model} v3", {})
    device = runs.device(parent, "3", "camera", "named on camera")
    assert read(runs, device).info.run_name == f"{runs.model} v3 camera"
    runs.name_by(parent, "refused (camera: recall on 8, 9 kB)")
    runs.name_by(device, "x" * 300)
    assert read(runs, parent).info.run_name == f"{runs.model} v3: refused (camera: recall on 8, 9 kB)"
    assert len(read(runs, device).info.run_name) == 250
    stage = runs.child(parent, "baseline")
    runs.name_by(stage, "refused")
    assert read(runs, stage).info.run_name == "baseline"


def test_a_run_that_is_taken_up_again_has_no_answer_in_its_name(runs: Runs) -> None:
    run = runs.parent("1", "again", f"{runs.model} v1", {})
    runs.name_by(run, "undecided")
    runs.finish(run, failed=True)
    assert runs.parent("1", "again", f"{runs.model} v1", {}) == run
    assert read(runs, run).info.run_name == f"{runs.model} v1"


def test_the_data_of_a_run_are_mlflows_datasets_once(runs: Runs) -> None:
    run = runs.parent("1", "data", "m v1", {})
    for _ in range(2):
        runs.data(run, "shop.digits:Digits", {"train": (200, "a" * 64), "test": (42, "b" * 64)})
    logged = read(runs, run).inputs
    assert logged is not None and len(logged.dataset_inputs) == 2
    inputs = {each.tags[0].value: each.dataset for each in logged.dataset_inputs}
    test = inputs["test"]
    assert (test.name, test.digest, json.loads(str(test.profile))) == ("Digits test", "b" * 36, {"num_rows": 42})
    assert json.loads(test.source)["sha256"] == "b" * 64


def test_a_view_of_the_list_is_offered_and_a_persons_description_stays(runs: Runs) -> None:
    runs.offer_view("answers", "Answers", ["edgewright.answer", "edgewright.size"])
    tags = runs.client.get_experiment(runs.experiment).tags
    columns = json.loads(tags["mlflow.sharedViewState.answers"])["selectedColumns"]
    assert columns == ["tags.`edgewright.answer`", "tags.`edgewright.size`"]
    assert tags["mlflow.note.content"] == f"[Answers](#/experiments/{runs.experiment}/runs?viewStateShareKey=answers)"
    runs.client.set_experiment_tag(runs.experiment, "mlflow.note.content", "Ours.")
    runs.offer_view("answers", "Answers", ["edgewright.answer"])
    assert runs.client.get_experiment(runs.experiment).tags["mlflow.note.content"] == "Ours."


def test_metrics_of_none_are_left_out(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {})
    runs.log(run, metrics={"accuracy": 0.5, "deployed.accuracy": None, "rows": 3}, params={"rung": "PTQ"})
    data = read(runs, run).data
    assert data.metrics == {"accuracy": 0.5, "rows": 3.0}
    assert data.params == {"rung": "PTQ"}


def test_the_newest_figure_counts_and_has_a_time(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {})
    before = int(time.time() * 1000)
    runs.log(run, metrics={"latency": 9.0})
    time.sleep(0.005)
    runs.log(run, metrics={"latency": 2.0})
    assert read(runs, run).data.metrics == {"latency": 2.0}
    assert all(metric.timestamp >= before for metric in runs.client.get_metric_history(run, "latency"))


def test_steps_are_kept_apart(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {})
    for step in range(3):
        runs.log(run, metrics={"parameters": 100.0 - step}, step=step)
    history = runs.client.get_metric_history(run, "parameters")
    assert [(metric.step, metric.value) for metric in history] == [(0, 100.0), (1, 99.0), (2, 98.0)]


def test_a_slices_name_may_have_any_sign(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {})
    runs.log(run, metrics={"accuracy.site_Köln (Süd), 50%/a": 0.5})
    assert read(runs, run).data.metrics == {"accuracy.site_Köln _Süd__ 50__a": 0.5}


def test_a_parameter_that_changed_is_told_in_a_tag(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {})
    runs.log(run, params={"rung": "PTQ", "device": "camera"})
    runs.log(run, params={"rung": "QAT", "device": "camera", "snapshot": "round 1"}, tags={"why": "again"})
    data = read(runs, run).data
    assert data.params == {"rung": "PTQ", "device": "camera", "snapshot": "round 1"}
    assert data.tags["edgewright.again.rung"] == "QAT"
    assert data.tags["why"] == "again"
    assert "edgewright.again.device" not in data.tags


def test_long_text_is_cut_to_what_mlflow_takes(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {})
    for _ in range(2):  # the second time it must not look changed
        runs.log(run, params={"stopped": "x" * 7000}, tags={"why": "y" * 9000})
    data = read(runs, run).data
    assert (len(data.params["stopped"]), len(data.tags["why"])) == (6000, 8000)
    assert "edgewright.again.stopped" not in data.tags


def test_tables_are_written_as_mlflow_reads_them_and_told_once(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {})
    rows = [{"gate": "size", "n": 3}, {"gate": "recall", "n": 4}]
    for _ in range(2):
        runs.tables(run, {"gates.json": rows, "empty.json": []})
    table = json.loads(Path(runs.client.download_artifacts(run, "gates.json")).read_text())
    assert table == {"columns": ["gate", "n"], "data": [["size", 3], ["recall", 4]]}
    assert [item.path for item in runs.client.list_artifacts(run)] == ["gates.json"]
    runs.client.log_table(like := runs.parent("2", "key", "m v2", {}), pd.DataFrame(rows), "gates.json")
    told, theirs = (read(runs, each).data.tags["mlflow.loggedArtifacts"] for each in (run, like))
    assert told == theirs
    assert json.loads(Path(runs.client.download_artifacts(like, "gates.json")).read_text()) == table


def test_a_folder_is_an_artifact_with_an_address(runs: Runs, tmp_path: Path) -> None:
    run = runs.parent("1", "key", "m v1", {})
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    address = runs.folder(run, tmp_path, "model-abc")
    assert (Path(address) / "model.onnx").read_bytes() == b"onnx"


def test_a_device_that_gave_an_answer_gets_another_run(runs: Runs) -> None:
    parent = runs.parent("1", "key", "m v1", {})
    first = runs.device(parent, "1", "gateway", "gateway key")
    assert runs.device(parent, "1", "gateway", "gateway key") == first
    assert runs.device(parent, "1", "gateway", "another profile") != first
    runs.log(first, tags={"edgewright.answer": "refused"})
    assert runs.device(parent, "1", "gateway", "gateway key") != first
    tags = read(runs, first).data.tags
    assert (tags["edgewright.stage"], tags["edgewright.device"], tags["mlflow.parentRunId"]) == (
        "gateway",
        "gateway",
        parent,
    )


def test_a_server_that_is_down_is_an_error(unreachable: str) -> None:
    with pytest.raises(RegistryUnavailable, match=f"MLflow at {unreachable}"):
        Runs(unreachable, "digits")


def test_a_text_that_is_not_there_is_no_text(runs: Runs) -> None:
    run = runs.parent("1", "key", "m v1", {})
    assert runs.find_text(run, "note.json") is None
    runs.text(run, "note.json", "{}")
    assert runs.find_text(run, "note.json") == "{}"
    with pytest.raises(RegistryError, match="expected it in MLflow, got none"):
        runs.find_text("0" * 32, "note.json")
