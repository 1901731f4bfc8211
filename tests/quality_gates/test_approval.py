"""The one way past a fail: who may open it, with what, and what closes it again."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from quality_gates.approval import approve, check_release, reinstate
from quality_gates.errors import ApprovalError
from quality_gates.gates import decide
from quality_gates.verdict import Verdict
from tests.quality_gates.builders import evidence, failed, limit, model, policy, rows

TODAY, LATER = date(2026, 3, 1), date(2026, 4, 1)
FILE = "a" * 64
LOST = decide(policy(), evidence(candidate=model(rows(wrong=range(60)))))
WITH: dict[str, Any] = {
    "name": "Ada",
    "reason": "the customer waits",
    "given": TODAY,
    "until": LATER,
    "run_key": "k",
    "file": FILE,
}


def approved(verdict: Verdict = LOST, **changes: Any) -> Verdict:
    return approve(verdict, **{**WITH, **changes})


def test_an_approval_makes_a_verdict_of_its_own() -> None:
    assert LOST.outcome == "fail"
    verdict = approved()
    assert (verdict.outcome, verdict.decided, verdict.passed, verdict.releases) == ("overridden", "fail", False, True)
    assert verdict.gates == LOST.gates and verdict.reasons == LOST.reasons and verdict.sha256 == LOST.sha256
    assert verdict.headline.startswith("Overridden: ") and "Ada answers for it until 2026-04-01" in verdict.headline
    check_release(verdict, FILE, LATER)


def test_it_survives_json_and_a_second_approval_is_of_the_gates_alone() -> None:
    verdict = approved()
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    again = approved(verdict, until=date(2026, 5, 1))
    assert again.approval is not None and again.approval.until == date(2026, 5, 1)


def test_an_inconclusive_verdict_can_be_answered_for() -> None:
    verdict = decide(policy(limit()), evidence())
    assert verdict.outcome == "pass"
    few = decide(policy(), evidence(candidate=model(rows(wrong=range(5)))))
    assert few.outcome == "inconclusive" and approved(few).releases


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "  "}, "expected a name"),
        ({"reason": ""}, "expected a reason"),
        ({"until": date(2026, 2, 28)}, "ends on 2026-03-01 or later, got 2026-02-28"),
    ],
)
def test_without_name_reason_or_expiry_there_is_no_approval(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ApprovalError, match=says):
        approved(**changes)


@pytest.mark.parametrize("words", ["two\nlines", "\x1b[31mred", "\u202eturned", "x" * 5_000])
@pytest.mark.parametrize("what", ["name", "reason"])
def test_words_that_a_device_could_not_show_are_refused(what: str, words: str) -> None:
    changes: dict[str, Any] = {what: words}
    with pytest.raises(ApprovalError, match=f"expected a {what} of at most 4,096 printable characters") as caught:
        approved(**changes)
    assert str(caught.value).isprintable()


def test_what_passed_needs_none() -> None:
    with pytest.raises(ApprovalError, match="needs no approval"):
        approved(decide(policy(), evidence()))


def test_a_measurement_that_crashed_cannot_be_answered_for() -> None:
    crashed = decide(policy(), evidence(candidate=failed()))
    with pytest.raises(ApprovalError, match=r"without a figure: .*ran past its limit.* measure again"):
        approved(crashed)


def test_one_crashed_reference_is_enough_to_refuse() -> None:
    half = decide(policy(), evidence(candidate=model(rows(wrong=range(60))), deployed=failed()))
    with pytest.raises(ApprovalError, match="without a figure"):
        approved(half)


def test_nothing_shown_is_nothing_to_answer_for() -> None:
    waiting = LOST.gates[0].model_copy(update={"outcome": "not_applicable", "blocking": False})
    with pytest.raises(ApprovalError, match="nothing was shown"):
        approved(Verdict.of((waiting,)))


def test_a_bare_fail_releases_nothing() -> None:
    with pytest.raises(ApprovalError, match="expected a passing or an overridden verdict, got fail"):
        check_release(LOST, FILE, TODAY)


def test_another_file_and_another_day_close_it() -> None:
    verdict = approved()
    with pytest.raises(ApprovalError, match="expected the file that Ada approved"):
        check_release(verdict, "b" * 64, TODAY)
    with pytest.raises(ApprovalError, match="got one of Ada that ended with 2026-04-01"):
        check_release(verdict, FILE, date(2026, 4, 2))


def test_an_approval_is_of_no_other_verdict() -> None:
    approval = approved().approval
    other = decide(policy(), evidence(candidate=model(rows(wrong=range(90)))))
    with pytest.raises(ValidationError, match="of another verdict"):
        Verdict.of(other.gates, approval)


def test_changed_gates_are_found_out() -> None:
    stored = approved().model_dump(mode="json")
    stored["gates"][0]["lower"] = 0.0
    with pytest.raises(ValidationError, match="of another verdict"):
        Verdict.model_validate(stored)


@pytest.mark.parametrize("outcome", ["pass", "overridden"])
def test_an_outcome_cannot_be_claimed(outcome: str) -> None:
    with pytest.raises(ValidationError, match="Decide again"):
        Verdict.model_validate({"outcome": outcome, "gates": LOST.gates})


def test_a_pass_cannot_carry_one() -> None:
    passed = decide(policy(), evidence())
    approval = approved().approval
    assert approval is not None
    with pytest.raises(ValidationError, match="needs no approval"):
        Verdict.of(passed.gates, approval.model_copy(update={"verdict_sha256": passed.sha256}))


def test_a_verdict_that_is_decided_again_finds_its_approval() -> None:
    verdict = approved()
    assert verdict.approval is not None
    assert reinstate(LOST, verdict.approval, run_key="k", file=FILE, on=LATER) == verdict


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"verdict": decide(policy(), evidence(candidate=model(rows(wrong=range(61)))))}, "to be of this verdict"),
        ({"run_key": "other"}, "to be of this verdict"),
        ({"file": "b" * 64}, "expected the file that Ada approved"),
        ({"on": date(2026, 4, 2)}, "ended with 2026-04-01"),
    ],
)
def test_an_approval_of_anything_else_does_not_count_again(changes: dict[str, Any], says: str) -> None:
    given = {"verdict": LOST, "approval": approved().approval, "run_key": "k", "file": FILE, "on": LATER} | changes
    with pytest.raises(ApprovalError, match=says):
        reinstate(**given)
