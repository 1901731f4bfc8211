"""Outcomes in a line: the names of runs and the columns of their list."""

from datetime import UTC, datetime
from typing import Any

import pytest

from edge_runtime.measurement import Figures
from tasks.outcomes import DECISION, SIZE, WORST_GATE, DeviceOutcome, Outcome, history_row
from tests.tasks.outcomes.recorded import NEW

FIGURES = {"parent": None, "candidate": Figures(9_120, 1.0, 1.0, 1.0, 1.0)}
APPROVAL = {
    "name": "Ada", "reason": "r", "given": "2026-01-01", "until": "2027-01-01", "verdict_sha256": "a" * 64,
    "file_sha256": "b" * 64, "run_key": "k",
}  # fmt: skip


def line(**changed: object) -> DeviceOutcome:
    return DeviceOutcome.model_validate(NEW | {"figures": FIGURES, "worst_gate": "recall on 8"} | changed)


def whole(answer: str, *devices: DeviceOutcome, **changed: Any) -> Outcome:
    content = {"model": "m", "version": "2", "recipe": "r", "recipe_digest": "", "run_id": "", "answer": answer}
    return Outcome.model_validate(content | {"devices": devices} | changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "refused (recall on 8, 9.12 kB)"),
        ({"undecided": True}, "undecided (recall on 8, 9.12 kB)"),
        ({"published": True, "verdict": "pass"}, "published (closest: recall on 8, 9.12 kB)"),
        ({"published": True, "verdict": "overridden", "approval": APPROVAL}, "approved (recall on 8, 9.12 kB)"),
        ({"worst_gate": None, "figures": NEW["figures"]}, "refused (–)"),
    ],
)
def test_a_device_says_decision_worst_gate_and_size(changed: dict[str, object], said: str) -> None:
    assert line(**changed).in_a_line == said


def test_a_version_says_so_of_the_device_that_got_nothing() -> None:
    good = line(device="gateway", published=True, verdict="pass", worst_gate="size")
    bad = line(device="camera")
    assert whole("partly published", good, bad).in_a_line == "partly published (camera: recall on 8, 9.12 kB)"
    assert whole("published", good).in_a_line == "published (gateway: closest: size, 9.12 kB)"
    assert whole("error", error="It broke.").in_a_line == "error"
    assert bad.tags == {DECISION: "refused", WORST_GATE: "recall on 8", SIZE: "9.12 kB"}


def test_people_see_that_a_version_was_approved_and_programs_that_it_was_published() -> None:
    approved = line(device="camera", published=True, verdict="overridden", approval=APPROVAL)
    passed = line(device="gateway", published=True, verdict="pass", worst_gate="size")
    assert (approved.answer, approved.tags[DECISION]) == ("published", "approved")
    version = whole("published", passed, approved)
    assert (version.answer, version.tags[DECISION]) == ("published", "approved")
    assert version.in_a_line == "approved (camera: recall on 8, 9.12 kB)"
    assert whole("error", error="It broke.").tags == {DECISION: "error"}


@pytest.mark.parametrize(("undecided", "decision"), [(False, "refused"), (True, "undecided")])
def test_the_history_says_the_same_decision(undecided: bool, decision: str) -> None:
    known = line(undecided=undecided)
    assert history_row(known, datetime.now(UTC), "").decision == known.decision == decision


def test_a_record_of_an_older_release_has_no_worst_gate() -> None:
    assert "worst_gate" not in NEW and DeviceOutcome.model_validate(NEW).in_a_line == "refused (–)"
