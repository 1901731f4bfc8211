"""Recipes of families: what members say becomes gates, slices and a workload of the whole."""

import hashlib
from typing import Any

from deployments.recipe import FamilyRecipe, Recipe, read_recipe, recorded_recipe
from quality_gates.gates import Floors, NonInferiority
from quality_gates.policy import SliceCondition
from tests.deployments.yaml_cases import HERE

FAMILY = read_recipe(HERE / "valid" / "family.yaml")
SMALLEST = read_recipe(HERE / "valid" / "smallest.yaml")


def changed(**changes: Any) -> Recipe:
    """Return the family with keys replaced, checked again."""
    return FamilyRecipe.model_validate(dict(FAMILY) | changes)


def with_gate(metric: str, **keys: Any) -> Recipe:
    first, second = FAMILY.members
    gate = NonInferiority(name="one more", metric=metric, against="parent", margin=0.1, confidence=0.95, **keys)
    return changed(members=(first, second.model_copy(update={"gates": (*second.gates, gate)})))


def test_a_file_with_members_is_a_family() -> None:
    assert isinstance(FAMILY, FamilyRecipe) and not isinstance(SMALLEST, FamilyRecipe)
    assert [member.name for member in FAMILY.members] == ["class", "site"]
    assert [member.weight for member in FAMILY.members] == [1, 0.5]
    assert SMALLEST.members == ()


def test_each_gate_of_a_member_is_on_the_rows_of_its_task() -> None:
    assert [(gate.name, str(getattr(gate, "slice", None))) for gate in FAMILY.gates] == [
        ("class: accuracy against parent", "task = class"),
        ("class: accuracy on label b at least", "task = class and label = b"),
        ("site: accuracy against parent", "task = site"),
        ("torch against ONNX", "None"),
    ]
    assert FAMILY.gates_of_models == (FAMILY.gates[:2], FAMILY.gates[2:3])
    assert SMALLEST.gates_of_models == (SMALLEST.gates,)


def test_a_slice_of_several_conditions_stays_one_of_several() -> None:
    night = SliceCondition(all=(SliceCondition(column="night", equals=True), SliceCondition(column="site", equals=1)))
    assert str(with_gate("accuracy", slice=night).gates[3].slice) == "task = site and night = True and site = 1"  # type: ignore[union-attr]


def test_the_rows_of_a_task_are_no_critical_slice_and_need_no_floor() -> None:
    assert list(map(str, FAMILY.critical_slices)) == ["task = class and label = b"]
    assert not any(isinstance(gate, Floors) for gate in FAMILY.policy(FAMILY.devices[0]).gates)


def test_a_critical_slice_of_a_member_without_a_floor_asks_for_one() -> None:
    for recipe, said in (
        (with_gate("accuracy", slice=SliceCondition(column="label", equals="b")), "task = site and label = b"),
        (with_gate("recall", of="b"), "task = site and target = b"),
    ):
        (floors,) = (gate for gate in recipe.policy(recipe.devices[0]).gates if isinstance(gate, Floors))
        assert list(map(str, floors.slices)) == [said]


def test_a_family_is_the_same_however_often_it_is_read() -> None:
    again = recorded_recipe(FAMILY.model_dump_json())
    assert again == FAMILY and again.digest == FAMILY.digest
    assert changed() == FAMILY
    assert recorded_recipe(SMALLEST.model_dump_json()) == SMALLEST


def test_the_digest_of_a_family_follows_its_members() -> None:
    first, second = FAMILY.members
    heavier = changed(members=(first, second.model_copy(update={"weight": 2})))
    assert heavier.digest != FAMILY.digest
    assert heavier.workloads_key != FAMILY.workloads_key
    other_gates = with_gate("accuracy")
    assert other_gates.digest != FAMILY.digest
    assert other_gates.workloads_key == FAMILY.workloads_key


def test_the_digest_of_a_recipe_of_one_model_knows_no_members() -> None:
    without = SMALLEST.model_dump_json(exclude={"members"})
    assert SMALLEST.digest == hashlib.sha256(without.encode()).hexdigest()


def test_the_workload_of_a_family_has_the_tasks_of_all_members() -> None:
    assert FAMILY.workload == "tests.tasks.tiny:Blobs, tests.tasks.tiny:Blobs"
    assert [type(each).__name__ for each in FAMILY.load_workload().of_models] == ["Blobs", "Blobs"]
    assert [type(each).__name__ for each in SMALLEST.load_workload().of_models] == ["Blobs"]
