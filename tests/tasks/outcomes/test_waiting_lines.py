"""Outcomes that wait for persons: their answer, their words, and what they are once it is over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quality_gates.sign_off import SignOff, SignOffs, SignOffSubject
from tasks.outcomes import DeviceOutcome, Outcome, history_row, why
from tests.tasks.outcomes.recorded import NEW

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ASKED = SignOffs(persons=2, until=NOW + timedelta(days=7))
SUBJECT = SignOffSubject(model="m", version="2", device="bench", run="i", verdict_sha256="a", file_sha256="b")


def line(**changes: Any) -> DeviceOutcome:
    return DeviceOutcome.model_validate(NEW | {"verdict": "pass", "reasons": (), "sign_off": ASKED} | changes)


def decided(choice: str, *names: str) -> SignOffs:
    records = [
        SignOff.model_validate({"subject": SUBJECT, "name": name, "reason": "So.", "choice": choice, "given": NOW})
        for name in names
    ]
    return ASKED.counting(records, SUBJECT, {})


def outcome(*devices: DeviceOutcome) -> Outcome:
    fields = {"model": "m", "version": "2", "recipe": "r", "recipe_digest": "d", "run_id": "v"}
    return Outcome.model_validate({**fields, "answer": Outcome.answer_of(devices), "devices": devices})


def test_a_line_of_an_older_release_waits_for_nobody() -> None:
    old = DeviceOutcome.model_validate(NEW)
    assert (old.waits, old.refusal, old.answer, old.is_no_second_chance) == (False, "", "refused", False)


def test_one_that_waits_says_how_many_have_signed() -> None:
    waiting = line(sign_off=decided("publish", "Ada"))
    assert (waiting.answer, waiting.decision, waiting.exit_code) == ("waiting", "waits for sign-off", 1)
    assert waiting.in_a_line == "waits for sign-off (1 of 2, –)"
    row = history_row(waiting, NOW, "")
    assert (row.decision, row.waits, row.signed_off) == ("waits for sign-off", True, False)
    assert why(waiting).startswith("Waits for sign-off by 2 persons until 2026-03-08 00:00 UTC: 1 of 2.")


def test_it_survives_json() -> None:
    waiting = line(sign_off=decided("publish", "Ada"))
    assert DeviceOutcome.model_validate_json(waiting.model_dump_json()) == waiting


def test_after_its_time_it_is_refused_and_before_it_is_not() -> None:
    assert line().at(ASKED.until) == line()
    over = line().at(ASKED.until + timedelta(seconds=1))
    assert (over.answer, over.waits) == ("refused", False) and "no answer is no" in over.reasons[0]
    assert not over.is_no_second_chance  # nobody said no to the version itself
    published = line(published=True, release=1)
    assert published.at(ASKED.until + timedelta(days=1)) == published


def test_a_persons_no_is_no_second_chance_for_a_new_toolchain() -> None:
    refused = line().decided_by(decided("refuse", "Ada"))
    assert refused.is_no_second_chance and refused.reasons == ("Refused by Ada (claimed): So.",)


def test_one_that_was_signed_is_published_and_says_by_whom() -> None:
    signed = line().decided_by(decided("publish", "Ada", "Grace"), 4)
    assert (signed.answer, signed.decision, signed.release) == ("published", "published", 4)
    assert history_row(signed, NOW, "deployed").signed_off
    assert why(signed) == "Signed off by Ada (claimed), Grace (claimed)."


def test_one_that_was_overtaken_is_asked_again() -> None:
    overtaken = line().overtaken("Another release came.")
    assert (overtaken.answer, overtaken.waits, overtaken.reasons) == ("undecided", False, ("Another release came.",))


@pytest.mark.parametrize(
    ("others", "answer"),
    [
        ([], "waiting"),
        ([{"published": True, "sign_off": None}], "waiting"),
        ([{"verdict": "fail", "sign_off": None}], "waiting"),
        ([{"undecided": True, "sign_off": None}], "undecided"),
    ],
)
def test_a_version_waits_while_one_of_its_devices_does(others: list[dict[str, Any]], answer: str) -> None:
    whole = outcome(line(), *(line(**other) for other in others))
    assert whole.answer == answer


def test_what_a_reader_must_see_first_is_a_refusal_then_what_waits() -> None:
    refused, published = line(device="no", verdict="fail", sign_off=None), line(device="yes", published=True)
    waiting = outcome(published, line())
    assert (waiting.decision, waiting.in_a_line) == ("waits for sign-off", "waits for sign-off (bench: 0 of 2, –)")
    worst = outcome(published, line(), refused).worst
    assert worst is not None and worst.device == "no"
