"""Records that another release wrote: passed over with a warning, or refused with a sentence; never a traceback."""

from typing import Any

import pytest

from tasks.errors import RegistryError
from tasks.registry import Answers, EdgeModels, Runs
from tasks.reporting import DeviceOutcome, device_answers, history, read_report
from tests.tasks.reporting.recorded import NEW

OLD = {"model": "m", "version": "1", "device": "bench", "size_bytes": 3}


@pytest.fixture
def runs(tracking_uri: str, request: pytest.FixtureRequest) -> Runs:
    """Runs with the answer of another release, one of this release, and an error."""
    runs = Runs(tracking_uri, str(request.node.name))
    records: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("1", "published", OLD), ("2", "refused", NEW), ("3", "error", {"sentence": "It broke."}),
    )  # fmt: skip
    for version, answer, record in records:
        run = runs.device(runs.parent(version, f"key {version}", "m", {}), version, "bench", f"device {version}")
        Answers(runs).record(run, answer, record)
    return runs


def test_an_outcome_in_another_form_is_passed_over(runs: Runs, tracking_uri: str, warned: list[str]) -> None:
    assert [line for _, line in device_answers(runs)] == [DeviceOutcome.model_validate(NEW)]
    assert len(warned) == 1 and "an answer in another form is passed over" in warned[0]
    ((device, row),) = history(runs, EdgeModels(tracking_uri, runs.model))
    assert (device, row.version, row.published) == ("bench", "2", False)


def test_a_report_in_another_form_is_refused_with_what_to_do(runs: Runs) -> None:
    run = runs.parent("3", "key 3", "m", {})
    runs.text(run, "report.json", '{"model": "m"}')
    with pytest.raises(RegistryError, match=r"of this release of Edgewright, got another form .*; compress the"):
        read_report(runs, run)
