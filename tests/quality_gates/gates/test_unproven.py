"""Recipes whose gates can show nothing: refused where no release would show anything, else named before training."""

from typing import Any

import pytest

from quality_gates.errors import PolicyError
from quality_gates.gates import GateKind, GatePolicy, check_shows, unproven
from tests.quality_gates.gates.every_kind import CALIBRATION, FLIPS, METRIC, PARITY, PLAUSIBLE, SITES

PARENT = {
    "kind": "non_inferiority", "metric": "accuracy", "against": "parent", "margin": 0.1, "confidence": 0.95,
}  # fmt: skip
DEPLOYED, WARNS = PARENT | {"against": "deployed"}, PARENT | {"on_inconclusive": "warn"}
FOUND = {
    "kind": "found_slices", "against": "parent", "min_rows": 20, "carried": 3, "margin": 0.1, "confidence": 0.95,
}  # fmt: skip
SIZE = {"kind": "limit", "resource": "size_bytes", "at_most": 9}


def gates(*given: dict[str, Any]) -> tuple[GateKind, ...]:
    named = [{"name": f"gate {place}"} | gate for place, gate in enumerate(given)]
    return GatePolicy.model_validate({"gates": named}).gates


@pytest.mark.parametrize("nothing", [(SIZE,), (SIZE, PARITY), (SITES, PARITY)])
def test_gates_that_are_not_about_answers_are_refused_by_themselves(nothing: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(PolicyError, match=r"got only .*a model that is never right passes too; add a non_inferiority"):
        check_shows(gates(*nothing))
    check_shows(gates(*nothing, DEPLOYED))


@pytest.mark.parametrize("proof", [PARENT, METRIC, FLIPS | {"against": "parent"}, CALIBRATION])
def test_one_gate_that_a_first_release_must_pass_is_enough(proof: dict[str, Any]) -> None:
    assert unproven(gates(DEPLOYED, WARNS, SIZE, PLAUSIBLE, proof)) is None


def test_a_limit_of_a_score_binds_although_the_deployed_model_is_not_there_yet() -> None:
    assert unproven(gates(CALIBRATION | {"against": "deployed"})) is None
    rise = {key: value for key, value in CALIBRATION.items() if key != "at_most"}
    assert unproven(gates(rise | {"against": "deployed"})) is not None
    assert unproven(gates(CALIBRATION | {"on_inconclusive": "warn"})) is not None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((DEPLOYED, FLIPS), "(waits for a deployed model: 'gate 0', 'gate 1')"),
        ((WARNS, SIZE), "(only warns: 'gate 0')"),
        ((PLAUSIBLE, FOUND), "(passes unless a fault is shown: 'gate 0', 'gate 1')"),
        ((DEPLOYED, WARNS), "(waits for a deployed model: 'gate 0'; only warns: 'gate 1')"),
    ],
)
def test_gates_that_a_first_release_passes_unseen_are_named_with_the_reason(
    given: tuple[dict[str, Any], ...], why: str
) -> None:
    said = unproven(gates(*given))
    assert said is not None and why in said and said.endswith("that fails where it is inconclusive")
