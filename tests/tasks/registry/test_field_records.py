"""Records of the field: a run for each device, written any number of times with the same end."""

from pathlib import Path

import pytest
from mlflow.entities import Run

from tasks.errors import RegistryError, RegistryUnavailable
from tasks.registry import FieldCount, FieldFigures, FieldRecords, FieldRelease


@pytest.fixture
def records(tracking_uri: str) -> FieldRecords:
    return FieldRecords(tracking_uri)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """The id of a device of this test's own."""
    return request.node.name.encode().hex()[:64]


def figures(number: int, **metrics: float) -> FieldFigures:
    return FieldFigures(number, 1_795_816_905_000, metrics, {"edgewright.field.release": f"of {number}"})


def run_of(records: FieldRecords, key: str) -> Run:
    (run,) = records.client.search_runs([records.experiment], f"tags.`edgewright.field.device` = '{key}'")
    return run


def test_writing_again_changes_nothing(records: FieldRecords, tracking_uri: str, key: str) -> None:
    for each in (records, FieldRecords(tracking_uri)):
        each.write(key, "press", figures(1, p50=2.5))
    run = run_of(records, key)
    (metric,) = records.client.get_metric_history(run.info.run_id, "p50")
    assert (metric.value, metric.step, metric.timestamp) == (2.5, 1, 1_795_816_905_000)
    assert run.info.status == "FINISHED"


def test_tags_tell_of_the_report_with_the_highest_number(records: FieldRecords, key: str) -> None:
    for number in (9, 10, 2):
        records.write(key, "press", figures(number, p50=number))
    run = run_of(records, key)
    assert (run.data.tags["edgewright.field.number"], run.data.tags["edgewright.field.release"]) == ("10", "of 10")
    assert run.data.metrics["p50"] == 10


def test_words_about_a_model_that_is_there_no_more_are_removed(records: FieldRecords, key: str) -> None:
    for number, tags in enumerate(({"edgewright.field.a.release": "1", "edgewright.field.b.release": "2"}, {}), 1):
        records.write(key, "press", FieldFigures(number, 0, {}, {"edgewright.field.name": "press", **tags}))
    told = {name for name in run_of(records, key).data.tags if name.startswith("edgewright.")}
    assert told == {"edgewright.field.device", "edgewright.field.name", "edgewright.field.number"}


def test_a_device_that_is_renamed_keeps_its_run(records: FieldRecords, tracking_uri: str, key: str) -> None:
    records.write(key, "press", figures(1, p50=1))
    FieldRecords(tracking_uri).write(key, "oven", figures(2, p50=2))
    assert run_of(records, key).info.run_name == "oven"


def test_a_run_that_a_kill_left_open_is_taken_up(records: FieldRecords, key: str) -> None:
    records.client.create_run(records.experiment, tags={"edgewright.field.device": key})
    records.write(key, "press", figures(1, p50=1))
    assert run_of(records, key).info.status == "FINISHED"


def test_a_report_of_many_models_is_more_than_one_call_takes(records: FieldRecords, key: str) -> None:
    metrics = {f"m{number}": float(number) for number in range(1500)}
    tags = {f"t{number}": "text" for number in range(150)}
    records.write(key, "press", FieldFigures(1, 0, metrics, tags))
    run = run_of(records, key)
    assert len(run.data.metrics) == 1500 and {*tags} <= {*run.data.tags}


def test_names_and_times_that_mlflow_does_not_take_are_changed(records: FieldRecords, key: str) -> None:
    records.write(key, "press", FieldFigures(1, -1, {"drift.images:0/ä+": 0.5}, {"a/b": "x" * 9000}))
    run = run_of(records, key)
    assert list(run.data.metrics.values()) == [0.5] and len(run.data.tags["a_b"]) == 5000


def test_content_that_mlflow_refuses_is_no_absence(records: FieldRecords, key: str) -> None:
    with pytest.raises(RegistryError, match="expected figures that MLflow takes, got"):
        records.write(key, "press", FieldFigures(1, 0, {"": 1.0}, {}))


def test_absence_is_told(unreachable: str) -> None:
    with pytest.raises(RegistryUnavailable):
        FieldRecords(unreachable)


def test_a_registered_model_of_another_owner_is_not_counted_on(records: FieldRecords, key: str, tmp_path: Path) -> None:
    name = f"{key[:20]}-bench"
    records.client.create_registered_model(name)
    tags = {"edgewright.release": "1", "edgewright.source_model": "another"}
    records.client.create_model_version(name, str(tmp_path), tags=tags)
    release = FieldRelease(key[:20], "bench", "1")
    assert records.count({release: FieldCount(1, "2026-11-27T22:05:00Z")}) == [release]
    assert "edgewright.field.devices" not in records.client.get_model_version(name, "1").tags
