"""Records that another release wrote: passed over with a warning, or refused with a sentence; never a traceback."""

from typing import Any

import pytest

from tasks.errors import RegistryError
from tasks.outcomes import DeviceOutcome, device_answers, history, read_report
from tasks.registry import Answers, EdgeModels, Runs
from tests.tasks.outcomes.recorded import NEW

OLD = {"model": "m", "version": "1", "device": "bench", "size_bytes": 3}


@pytest.fixture
def runs(tracking_uri: str, request: pytest.FixtureRequest) -> Runs:
    """Runs with the answer of another release, one of this release, and an error."""
    runs = Runs(tracking_uri, str(request.node.name))
    records: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("1", "published", OLD), ("2", "refused", NEW), ("3", "error", {"sentence": "It broke."}),
    )  # fmt: skip
    for version, answer, record in records:
        parent = runs.parent(version, f"key {version}", "m", {})
        run = runs.device(parent, version, "bench", f"device {version}")
        own = {"run_id": run, "version_run_id": parent} if record is NEW else {}
        Answers(runs).record(run, answer, record | own)
    return runs


def test_an_outcome_in_another_form_is_passed_over(runs: Runs, tracking_uri: str, warned: list[str]) -> None:
    ((recorded, line),) = device_answers(runs)
    assert line == DeviceOutcome.model_validate(NEW | {"run_id": recorded.run, "version_run_id": recorded.parent})
    assert len(warned) == 1 and "an answer in another form is passed over" in warned[0]
    ((device, row),) = history(runs, EdgeModels(tracking_uri, runs.model))
    assert (device, row.version, row.published) == ("bench", "2", False)


@pytest.mark.parametrize("key", ["run_id", "version_run_id", "version", "device"])
def test_an_outcome_that_names_another_run_version_or_device_is_no_answer(
    runs: Runs, warned: list[str], key: str
) -> None:
    ((recorded, line),) = device_answers(runs)
    Answers(runs).record(recorded.run, "refused", line.model_dump(mode="json") | {key: "another"})
    warned.clear()
    assert list(device_answers(runs)) == []
    assert any("an answer that names another" in each for each in warned)


def test_a_report_in_another_form_is_refused_with_what_to_do(runs: Runs) -> None:
    run = runs.parent("3", "key 3", "m", {})
    runs.text(run, "report.json", '{"model": "m"}')
    with pytest.raises(RegistryError, match=r"of this release of Edgewright, got another form .*; compress the"):
        read_report(runs, run)
