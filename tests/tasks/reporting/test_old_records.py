"""Records that another release wrote: passed over with a warning, or refused with a sentence; never a traceback."""

import pytest

from tasks.errors import RegistryError
from tasks.registry import EdgeModels, Runs
from tasks.reporting import Outcome, history, read_report, recorded_outcomes

OLD = {"model": "m", "version": "1", "answer": "published", "devices": [{"device": "bench", "size_bytes": 3}]}
NEW = Outcome(model="m", version="2", recipe="r", recipe_digest="d", run_id="i", answer="refused")


@pytest.fixture
def runs(tracking_uri: str, request: pytest.FixtureRequest) -> Runs:
    """Runs with the answer of another release, and one of this release after it."""
    runs = Runs(tracking_uri, str(request.node.name))
    for version, answer, record in (("1", "published", OLD), ("2", "refused", NEW.model_dump(mode="json"))):
        runs.answer(runs.parent(version, f"key {version}", "m", {}), answer, record)
    return runs


def test_an_outcome_in_another_form_is_passed_over(runs: Runs, tracking_uri: str, warned: list[str]) -> None:
    assert [outcome for _, _, outcome in recorded_outcomes(runs)] == [NEW]
    assert len(warned) == 1 and "an answer in another form is passed over" in warned[0]
    assert list(history(runs, EdgeModels(tracking_uri, runs.model))) == []


def test_a_report_in_another_form_is_refused_with_what_to_do(runs: Runs) -> None:
    run = runs.parent("3", "key 3", "m", {})
    runs.text(run, "report.json", '{"model": "m"}')
    with pytest.raises(RegistryError, match=r"of this release of Edgewright, got another form .*; compress the"):
        read_report(runs, run)
