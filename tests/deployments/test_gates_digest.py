"""The digest of what gates ask, under which looks at a test split count, and the level of one look."""

from typing import Any

import pytest

from deployments.recipe import Recipe, read_recipe
from quality_gates.gates import GatePolicy
from quality_gates.policy import AlphaSpending
from tests.deployments.yaml_cases import HERE

ACCURACY: dict[str, Any] = {"kind": "non_inferiority", "name": "accuracy", "metric": "accuracy", "against": "parent",
                            "margin": 0.05, "confidence": 0.95}  # fmt: skip
FLIPS: dict[str, Any] = {"kind": "flips", "name": "flips", "against": "deployed", "at_most": 0.02, "confidence": 0.9}
SIZE: dict[str, Any] = {"kind": "limit", "name": "size", "resource": "size_bytes", "at_most": 40_000}
EIGHT: dict[str, Any] = {"column": "label", "equals": 8}
NIGHT: dict[str, Any] = {"column": "shift", "equals": "night"}
BOTH = (ACCURACY, FLIPS)


def recipe(*gates: dict[str, Any], **changes: Any) -> Recipe:
    policy = GatePolicy.model_validate({"gates": gates})
    return read_recipe(HERE / "valid" / "smallest.yaml").model_copy(update={"gates": policy.gates, **changes})


@pytest.mark.parametrize(
    "gates",
    [
        (FLIPS, ACCURACY),
        (ACCURACY | {"name": "another"}, FLIPS),
        (*BOTH, FLIPS | {"name": "flips once more"}),
        (ACCURACY | {"on_inconclusive": "fail", "slice": None}, FLIPS),
        (ACCURACY | {"confidence": 0.99}, FLIPS),
        (*BOTH, SIZE),
    ],
    ids=["order", "name", "repeated", "defaults", "confidence", "resource"],
)
def test_the_same_questions_have_the_same_digest(gates: tuple[dict[str, Any], ...]) -> None:
    assert recipe(*gates).gates_digest == recipe(*BOTH).gates_digest


@pytest.mark.parametrize(
    "gates",
    [
        (ACCURACY | {"margin": 0.06}, FLIPS),
        (ACCURACY | {"against": "deployed"}, FLIPS),
        (ACCURACY | {"slice": {"column": "label", "equals": 8}}, FLIPS),
        (ACCURACY,),
    ],
    ids=["margin", "reference", "slice", "fewer"],
)
def test_other_questions_have_another_digest(gates: tuple[dict[str, Any], ...]) -> None:
    assert recipe(*gates).gates_digest != recipe(*BOTH).gates_digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (EIGHT, {"column": "label", "in": [8]}),
        ({"column": "label", "in": [8, 9]}, {"column": "label", "in": [9, 8]}),
        ({"all": [EIGHT, NIGHT]}, {"all": [NIGHT, EIGHT]}),
    ],
)
def test_a_slice_in_other_words_is_the_same_question(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert recipe(ACCURACY | {"slice": one}).gates_digest == recipe(ACCURACY | {"slice": other}).gates_digest
    text = {"column": "label", "equals": "8"}
    assert recipe(ACCURACY | {"slice": text}).gates_digest != recipe(ACCURACY | {"slice": EIGHT}).gates_digest


def test_a_kind_counts_though_it_is_a_default() -> None:
    shared = {"name": "any", "against": "parent", "confidence": 0.95}
    lost = recipe(shared | {"kind": "non_inferiority", "metric": "accuracy", "margin": 0.1})
    flipped = recipe(shared | {"kind": "flips", "at_most": 0.1})
    assert lost.gates_digest != flipped.gates_digest


def test_the_level_of_a_look_is_that_of_the_recipe_or_of_its_laxest_gate() -> None:
    assert recipe(*BOTH, alpha_spending=AlphaSpending(total=0.05, looks=20)).look_level == 0.0025
    assert recipe(*BOTH, SIZE).look_level == 0.1
    assert recipe(SIZE).look_level == 0.0
