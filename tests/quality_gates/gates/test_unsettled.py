"""Evidence that says nothing about the version: gates are inconclusive, block, and are asked again."""

import dataclasses
from typing import Any

import pytest

from quality_gates.approval import undecided_gates
from quality_gates.evidence import Evidence, ModelEvidence, ParityMeasurement
from quality_gates.gates import GatePolicy, decide
from quality_gates.verdict import GateResult, Verdict
from tests.quality_gates.classed import answers, seen
from tests.quality_gates.gates.every_kind import FLIPS, ON_ANSWERS, PARITY, SIZE, good

INTERRUPTED = ModelEvidence(None, None, failure="it took longer than its 60 s.", interrupted=True)
CRASHED = ModelEvidence(None, None, failure="it was ended by SIGSEGV.")


def decided(evidence: Evidence, *gates: dict[str, Any]) -> Verdict:
    named = [{"name": f"gate {index}"} | gate for index, gate in enumerate(gates)]
    return decide(GatePolicy.model_validate({"gates": named}), evidence)


def candidate(measured: ModelEvidence) -> Evidence:
    validation = dataclasses.replace(seen(answers(seed=1)), candidate=measured)
    parity = tuple(
        dataclasses.replace(each, failure=measured.failure, interrupted=measured.interrupted) for each in good().parity
    )
    return dataclasses.replace(good(), candidate=measured, validation=validation, parity=parity)


@pytest.mark.parametrize("gate", [*ON_ANSWERS, SIZE], ids=lambda gate: gate["kind"])
def test_every_gate_on_an_interrupted_measurement_is_asked_again(gate: dict[str, Any]) -> None:
    verdict = decided(candidate(INTERRUPTED), gate)
    (result,) = verdict.gates
    assert (result.outcome, result.blocking, result.asked_again) == ("inconclusive", True, True)
    assert "was interrupted: it took longer than its 60 s." in result.sentence
    assert verdict.undecided_by_noise and not verdict.releases
    assert undecided_gates(verdict) == verdict.gates


@pytest.mark.parametrize("gate", [*ON_ANSWERS, SIZE], ids=lambda gate: gate["kind"])
def test_every_gate_on_a_crashed_model_fails_and_is_an_answer(gate: dict[str, Any]) -> None:
    verdict = decided(candidate(CRASHED), gate)
    assert (verdict.outcome, verdict.gates[0].asked_again, verdict.undecided_by_noise) == ("fail", False, False)


def test_an_interrupted_reference_concerns_the_gates_against_it_alone() -> None:
    verdict = decided(dataclasses.replace(good(), deployed=INTERRUPTED), *ON_ANSWERS[:2])
    assert [(gate.outcome, gate.asked_again) for gate in verdict.gates] == [("pass", False), ("inconclusive", True)]
    assert verdict.undecided_by_noise


def test_a_gate_that_truly_fails_makes_the_rest_an_answer() -> None:
    evidence = dataclasses.replace(good(), deployed=INTERRUPTED)
    verdict = decided(evidence, SIZE | {"at_most": 1.0}, FLIPS | {"against": "deployed"})
    assert [gate.asked_again for gate in verdict.gates] == [False, True]
    assert not verdict.undecided_by_noise


def test_a_parity_run_that_was_interrupted_is_asked_again() -> None:
    broken = ParityMeasurement(good().parity[0].check, 0, 0, 0.0, "a full disk.", interrupted=True)
    verdict = decided(dataclasses.replace(good(), parity=(broken,)), PARITY)
    assert verdict.gates[0].asked_again and "was interrupted: a full disk." in verdict.gates[0].sentence


def test_a_verdict_that_passed_or_showed_nothing_is_not_undecided_by_noise() -> None:
    assert not decided(good(), SIZE).undecided_by_noise
    waiting = GateResult(
        name="a", kind="flips", outcome="not_applicable", blocking=False, metric="accuracy", sentence="None yet."
    )
    assert not Verdict.of((waiting,)).undecided_by_noise


def test_the_digest_of_a_verdict_from_before_the_field_stays() -> None:
    verdict = decided(good(), SIZE)
    older = Verdict.of(tuple(GateResult(**gate.model_dump(exclude={"asked_again"})) for gate in verdict.gates))
    assert older.sha256 == verdict.sha256
