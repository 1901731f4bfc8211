"""Answers that could not be taken on the device's CPU: inconclusive, with the remedy, and never a way through."""

import dataclasses
from typing import Any

import pytest

from quality_gates.approval import undecided_gates
from quality_gates.evidence import Evidence, ModelEvidence, Unanswered
from quality_gates.gates import GatePolicy, decide
from quality_gates.verdict import Verdict
from tests.quality_gates.builders import resources
from tests.quality_gates.classed import answers, seen
from tests.quality_gates.gates.every_kind import FLIPS, ON_ANSWERS, SIZE, good

VALIDATION = seen(answers(seed=1))
MISSING = Unanswered("expected qemu, got none.", "Install it.")


def unanswered() -> ModelEvidence:
    return ModelEvidence(None, resources(), unanswered=MISSING)


def decided(evidence: Evidence, *gates: dict[str, Any]) -> Verdict:
    named = [{"name": f"gate {index}"} | gate for index, gate in enumerate(gates)]
    return decide(GatePolicy.model_validate({"gates": named}), evidence)


def without_candidate() -> Evidence:
    validation = dataclasses.replace(VALIDATION, candidate=unanswered())
    return dataclasses.replace(good(), candidate=unanswered(), validation=validation)


@pytest.mark.parametrize("gate", ON_ANSWERS, ids=lambda gate: gate["kind"])
def test_every_gate_on_answers_is_inconclusive_and_blocks(gate: dict[str, Any]) -> None:
    (result,) = decided(without_candidate(), gate).gates
    assert (result.outcome, result.blocking, result.remedy) == ("inconclusive", True, "Install it.")
    assert "The candidate was not answered: expected qemu, got none." in result.sentence


def test_the_gates_themselves_would_pass() -> None:
    answered = dataclasses.replace(good(), validation=VALIDATION)
    assert {gate.outcome for gate in decided(answered, *ON_ANSWERS).gates} == {"pass"}


def test_budgets_are_decided_all_the_same_and_do_not_carry_the_verdict() -> None:
    verdict = decided(without_candidate(), SIZE, *ON_ANSWERS)
    assert verdict.gates[0].outcome == "pass"
    assert (verdict.outcome, verdict.releases) == ("inconclusive", False)


def test_nobody_can_approve_what_was_not_answered() -> None:
    assert len(undecided_gates(decided(without_candidate(), *ON_ANSWERS))) == len(ON_ANSWERS)


def test_a_deployed_model_that_was_not_answered_stops_the_gates_against_it_alone() -> None:
    evidence = dataclasses.replace(good(), deployed=unanswered())
    against_parent, against_deployed = decided(evidence, *ON_ANSWERS[:2]).gates
    assert (against_parent.outcome, against_deployed.outcome) == ("pass", "inconclusive")
    assert against_deployed.blocking and "The deployed model was not answered" in against_deployed.sentence


def test_on_a_first_deployment_too() -> None:
    first = dataclasses.replace(without_candidate(), deployed=None)
    assert {gate.outcome for gate in decided(first, ON_ANSWERS[1], FLIPS).gates} == {"inconclusive"}


def test_a_failure_comes_before_a_missing_emulator() -> None:
    crashed = ModelEvidence(answers(), resources(), failure="it crashed.", unanswered=MISSING)
    (result,) = decided(dataclasses.replace(good(), candidate=crashed), ON_ANSWERS[0]).gates
    assert result.outcome == "fail"
