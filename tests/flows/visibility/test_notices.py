"""Notices: one for a version, with a line for each device."""

import pytest

from flows.visibility import answered, ended, needs_person, rolled_back
from flows.visibility.notices import decided
from tasks.outcomes import DeviceFailure, DeviceOutcome
from tests.flows.visibility.outcomes import line, outcome


def place(line: DeviceOutcome) -> str:
    return f"https://mlflow.example/{line.run_id}"


def test_a_notice_says_all_devices_with_decision_worst_gate_and_report() -> None:
    notice = answered(outcome(line("camera", published=True), line("kiosk", published=False)), place)
    assert (notice.kind, notice.subject) == ("published", "Edgewright: digits version 3: partly published")
    assert notice.body.splitlines() == [
        "Recipe digits.",
        "camera: published (closest: accuracy, –)",
        "  Report: https://mlflow.example/run-camera",
        "kiosk: refused (accuracy, –)",
        "  It lost 4 of 100 rows.",
        "  Report: https://mlflow.example/run-kiosk",
    ]


@pytest.mark.parametrize(
    ("published", "kind"), [((True, True), "published"), ((True, False), "published"), ((False, False), "refused")]
)
def test_its_kind_follows_from_the_answer(published: tuple[bool, bool], kind: str) -> None:
    lines = [line(f"d{index}", published=each) for index, each in enumerate(published)]
    assert answered(outcome(*lines), place).kind == kind


def test_a_device_that_failed_is_told_with_its_error() -> None:
    failures = (DeviceFailure(device="kiosk", sentence="The disk is full.", asked_again=True),)
    notice = answered(outcome(line("camera", published=True), failures=failures), place)
    assert (notice.kind, notice.body.splitlines()[-1]) == (
        "failed",
        "kiosk: failed. The disk is full. It is asked again.",
    )


def test_an_error_of_the_version_is_the_whole_notice() -> None:
    notice = answered(outcome(answer="error", error="The workload has no rows."), place)
    assert (notice.kind, notice.body) == ("failed", "Recipe digits.\nThe workload has no rows.")


def test_a_run_that_an_error_ended_is_told_without_secrets() -> None:
    notice = ended("digits", "3", "digits", "MLflow at https://me:geheim@host: expected an answer, got none")
    assert (notice.kind, notice.subject) == ("failed", "Edgewright: digits version 3: failed")
    assert "geheim" not in notice.body and "expected an answer" in notice.body


@pytest.mark.parametrize("published", [True, False])
def test_what_persons_decided_is_told(published: bool) -> None:
    notice = decided(line("camera", published=published), place)
    word = "published" if published else "refused"
    assert (notice.kind, notice.subject) == (word, f"Edgewright: digits version 3 on camera: {word}")
    assert notice.body.splitlines()[-1] == "Report: https://mlflow.example/run-camera"


def test_a_rollback_is_told() -> None:
    notice = rolled_back("digits", "camera", "camera: release 3 of version 1 is deployed.")
    assert (notice.kind, notice.subject) == ("published", "Edgewright: digits on camera: rolled back")


def test_what_a_person_is_needed_for_is_in_the_notice() -> None:
    notice = needs_person("digits", "3", "ask again with edgewright compress")
    assert (notice.kind, notice.subject) == ("needs a person", "Edgewright: digits version 3: needs a person")
    assert notice.body == "ask again with edgewright compress"


def test_a_version_that_waits_for_sign_off_needs_a_person_and_says_how_to_sign() -> None:
    waiting = line("gateway", published=False, sign_off={"persons": 1, "until": "2026-12-31T00:00:00Z"}, reasons=())
    assert waiting.waits
    notice = answered(outcome(waiting), place)
    assert notice.kind == "needs a person"
    assert "edgewright sign-off digits/3 --device gateway --name NAME --reason WHY" in notice.body
