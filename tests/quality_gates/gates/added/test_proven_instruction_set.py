"""The gate on the instruction set that answered: proven, accepted, refused, or approved by a person."""

import dataclasses
from datetime import date

import pytest
from pydantic import TypeAdapter, ValidationError

from quality_gates.approval import approve, undecided_gates
from quality_gates.evidence import AnsweringCpu, Evidence, ModelEvidence, Unanswered
from quality_gates.gates import Gate, GatePolicy, ProvenInstructionSet, Shown, decide, plan, shown_of
from quality_gates.verdict import GateResult, Verdict
from tests.quality_gates.builders import failed, limit, resources, rows
from tests.quality_gates.classed import answers
from tests.quality_gates.gates.every_kind import good

OWN = AnsweringCpu("Haswell, emulated", "avx2", "avx2")
OTHER = AnsweringCpu("this machine's CPU", "avx512_vnni", "avx2")
NAMELESS = AnsweringCpu("this machine's CPU", None, "neon")


def answered(cpu: AnsweringCpu | None) -> Evidence:
    return dataclasses.replace(good(), candidate=ModelEvidence(answers(), resources(), answered_on=cpu))


def verdict(evidence: Evidence, accepted: bool) -> Verdict:
    gate = ProvenInstructionSet(on_inconclusive="warn" if accepted else "fail")
    return decide(GatePolicy(gates=(limit(), gate)), evidence)


def held(evidence: Evidence, accepted: bool = False) -> GateResult:
    return verdict(evidence, accepted).gates[-1]


@pytest.mark.parametrize("accepted", [True, False])
def test_the_devices_own_set_passes(accepted: bool) -> None:
    result = held(answered(OWN), accepted)
    assert (result.outcome, result.candidate_value, result.remedy) == ("pass", 1.0, None)
    assert result.sentence == "Instruction set: 600 rows of 600 were answered on the device's own, avx2."


@pytest.mark.parametrize(("cpu", "named"), [(OTHER, "avx512_vnni"), (NAMELESS, "a set that no profile names")])
def test_another_set_blocks_and_says_the_three_ways_on(cpu: AnsweringCpu, named: str) -> None:
    result = held(answered(cpu))
    assert (result.outcome, result.blocking, result.candidate_value) == ("inconclusive", True, 0.0)
    assert f"the rows were answered on {named}, by this machine's CPU." in result.sentence
    assert result.remedy is not None
    for way in ("kind emulated", "a machine of that class", "`accept_unproven_instruction_set: true`"):
        assert way in result.remedy
    assert not verdict(answered(cpu), accepted=False).releases


def test_another_set_that_is_accepted_warns_alone() -> None:
    decided = verdict(answered(OTHER), accepted=True)
    assert (decided.outcome, decided.gates[-1].outcome, decided.gates[-1].blocking) == ("pass", "inconclusive", False)
    assert "1 inconclusive, with a warning only" in decided.headline
    assert decided.gates[-1].remedy is not None and "kind emulated" in decided.gates[-1].remedy
    assert "accept_unproven" not in decided.gates[-1].remedy  # the recipe has it already


@pytest.mark.parametrize("accepted", [True, False])
def test_what_was_not_answered_or_not_recorded_blocks_even_where_it_is_accepted(accepted: bool) -> None:
    missing = ModelEvidence(None, resources(), unanswered=Unanswered("expected qemu, got none.", "Install it."))
    unanswered = held(dataclasses.replace(good(), candidate=missing), accepted)
    assert (unanswered.outcome, unanswered.blocking, unanswered.remedy) == ("inconclusive", True, "Install it.")
    for evidence in (answered(None), dataclasses.replace(good(), candidate=failed())):
        result = held(evidence, accepted)
        assert (result.outcome, result.blocking) == ("fail", True)


def test_a_person_can_answer_for_another_set_but_not_for_no_answers() -> None:
    refused = verdict(answered(OTHER), accepted=False)
    assert undecided_gates(refused) == ()
    words = {"name": "Ada", "reason": "Tried by hand.", "run_key": "k", "file": "a" * 64}
    assert approve(refused, given=date(2026, 1, 1), until=date(2026, 2, 1), **words).releases
    missing = dataclasses.replace(good(), candidate=failed())
    assert len(undecided_gates(verdict(missing, accepted=True))) == 2


def test_no_recipe_can_write_it_and_no_snapshot_is_chosen_by_it() -> None:
    with pytest.raises(ValidationError, match="instruction_set"):
        TypeAdapter[object](Gate).validate_python({"kind": "instruction_set", "name": "set"})
    assert ProvenInstructionSet.decides_once and not ProvenInstructionSet().by_answers
    assert shown_of("instruction_set") == Shown(allowed="above")


def test_a_policy_with_it_survives_json_and_is_planned() -> None:
    policy = GatePolicy(gates=(limit(), ProvenInstructionSet(on_inconclusive="warn")))
    assert GatePolicy.model_validate_json(policy.model_dump_json()) == policy
    assert [line.name for line in plan(policy, rows(), 0.05)] == ["size_bytes", "instruction set"]
