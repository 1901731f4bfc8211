"""Spending of false passes: gates that must show something are tested at the level of a look; worn rows decide none."""

from dataclasses import replace
from datetime import date

import pytest

from quality_gates.approval import approve
from quality_gates.errors import ApprovalError
from quality_gates.evidence import Unanswered
from quality_gates.gates import GateKind, GatePolicy, decide
from quality_gates.policy import AlphaSpending
from quality_gates.verdict import Look, Verdict
from tests.quality_gates.builders import against, evidence, limit, model, policy, rows
from tests.quality_gates.gates.every_kind import ON_ANSWERS, SIZE

WORN = Unanswered("All looks are taken.", "Give new rows.")


def test_the_level_of_a_look_is_an_equal_share_of_the_total() -> None:
    assert AlphaSpending(total=0.05, looks=20).level == 0.0025


def confidence_of(gate: GateKind) -> float | None:
    return getattr(gate, "confidence", None)


def test_a_gate_that_must_show_something_is_tested_at_the_higher_confidence() -> None:
    named = [gate | {"name": str(at)} for at, gate in enumerate([*ON_ANSWERS, SIZE])]
    every = GatePolicy.model_validate({"gates": named}).gates
    raised = {gate.kind for gate in every if confidence_of(gate.at_confidence(0.99)) == 0.99}
    assert raised == {"non_inferiority", "flips", "calibration", "limit"}
    # a gate that fails only where a fault is shown would be laxer at a higher confidence
    kept = {gate.kind for gate in every if confidence_of(gate.at_confidence(0.99)) == 0.95}
    assert kept == {"plausibility", "found_slices"}


def test_a_confidence_is_raised_and_never_lowered() -> None:
    assert against(confidence=0.95).at_confidence(0.9).confidence == 0.95
    assert against(confidence=0.9).at_confidence(0.95).confidence == 0.95
    assert limit().at_confidence(0.99) == limit()


def test_fewer_rows_pass_at_the_level_of_one_look() -> None:
    close = evidence(model(rows(200, wrong=[1, 2])), model())
    gate = against(margin=0.04)
    alone, spent = gate.evaluate(close), gate.at_confidence(1 - 0.05 / 20).evaluate(close)
    assert (alone.outcome, spent.outcome) == ("pass", "inconclusive")
    assert "99.75 % bounds" in spent.sentence and spent.confidence == 0.9975


def test_rows_that_are_worn_leave_every_gate_inconclusive_with_the_remedy() -> None:
    verdict = decide(policy(), replace(evidence(), withheld=WORN))
    assert {(gate.outcome, gate.blocking, gate.remedy) for gate in verdict.gates} == {
        ("inconclusive", True, "Give new rows.")
    }
    assert verdict.outcome == "inconclusive" and not verdict.undecided_by_noise
    assert all("All looks are taken." in gate.sentence for gate in verdict.gates)


def test_the_headline_of_worn_rows_says_why_and_what_to_do() -> None:
    worn = Look(taken=2, in_all=2, allowed=2, level=0.025, spent=0.05, total=0.05)
    assert decide(policy(), replace(evidence(), withheld=WORN)).at(worn).headline == (
        "Inconclusive: no test row was read. All 2 looks of these gates at the test rows are taken, and another one "
        "would show nothing. Give the workload new test rows, or let a named person decide to go on, with edgewright "
        "looks grant."
    )


def test_nobody_can_answer_for_rows_that_nothing_was_read_of() -> None:
    verdict, day = decide(policy(), replace(evidence(), withheld=WORN)), date(2026, 1, 1)
    with pytest.raises(ApprovalError, match="cannot be answered for"):
        approve(verdict, name="Ada", reason="why", given=day, until=day, run_key="k", file="f")


def test_a_look_stays_with_a_verdict_and_does_not_change_its_digest() -> None:
    plain = decide(policy(), evidence())
    seen = plain.at(Look(number=3, taken=3, in_all=4, allowed=20, level=0.0025, spent=0.0075, total=0.05))
    assert seen.sha256 == plain.sha256
    assert Verdict.model_validate_json(seen.model_dump_json()).unapproved.look == seen.look
    assert seen.look is not None and seen.look.sentence.endswith("Other gates took 1 more at these rows.")
    older = plain.model_dump(mode="json", exclude={"look"})  # as an older release wrote it
    assert Verdict.model_validate(older) == plain
