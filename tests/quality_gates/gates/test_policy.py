import pytest
from pydantic import ValidationError

from quality_gates.errors import GateError, PolicyError
from quality_gates.gates import GatePolicy, Limit, NonInferiority
from quality_gates.policy import SliceCondition

ACCURACY = {
    "kind": "non_inferiority",
    "name": "accuracy",
    "metric": "accuracy",
    "against": "parent",
    "margin": 0.02,
    "confidence": 0.95,
}
SIZE = {"kind": "limit", "name": "size", "resource": "size_bytes", "at_most": 65536}


def test_a_policy_is_read_by_kind_and_survives_json() -> None:
    policy = GatePolicy.model_validate({"gates": [ACCURACY, SIZE]})
    assert [type(gate) for gate in policy.gates] == [NonInferiority, Limit]
    assert GatePolicy.model_validate_json(policy.model_dump_json()) == policy


@pytest.mark.parametrize("key", ["name", "metric", "against", "margin", "confidence"])
def test_nothing_that_decides_has_a_default(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        NonInferiority.model_validate({name: value for name, value in ACCURACY.items() if name != key})


@pytest.mark.parametrize("key", ["name", "resource", "at_most"])
def test_a_limit_has_no_default_either(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        Limit.model_validate({name: value for name, value in SIZE.items() if name != key})


@pytest.mark.parametrize(
    "change",
    [
        {"margin": -0.01},
        {"margin": 1.0},
        {"margin": "0.1"},
        {"margin": False},
        {"margin": float("nan")},
        {"confidence": 0.5},
        {"confidence": 1.0},
        {"confidence": 95},
        {"metric": "f1"},
        {"against": "yesterday"},
        {"on_inconclusive": "pass"},
        {"name": ""},
        {"tolerance": 0.1},
        {"slice": {"column": "label"}},
        {"slice": {"column": "", "equals": 1}},
        {"slice": {"column": "x", "equals": float("nan")}},
    ],
)
def test_a_wrong_gate_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NonInferiority.model_validate(ACCURACY | change)


def test_a_margin_of_zero_is_allowed() -> None:
    assert NonInferiority.model_validate(ACCURACY | {"margin": 0}).margin == 0


@pytest.mark.parametrize("change", [{"at_most": 0}, {"at_most": float("inf")}, {"resource": "joules"}, {"unit": "kB"}])
def test_a_wrong_limit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Limit.model_validate(SIZE | change)


@pytest.mark.parametrize("gates", [[], [ACCURACY | {"kind": "hope"}], [{"name": "no kind"}]])
def test_a_wrong_policy_is_refused(gates: list[dict[str, object]]) -> None:
    with pytest.raises(ValidationError):
        GatePolicy.model_validate({"gates": gates})


def test_two_gates_of_one_name_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="size is used twice"):
        GatePolicy.model_validate({"gates": [SIZE, ACCURACY, SIZE]})


def test_a_policy_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        NonInferiority.model_validate(ACCURACY).margin = 0.5


@pytest.mark.parametrize("value", [8, "8", True, 8.5])
def test_the_type_of_a_slice_value_is_kept(value: object) -> None:
    condition = SliceCondition.model_validate({"column": "label", "equals": value})
    again = SliceCondition.model_validate_json(condition.model_dump_json())
    assert type(again.equals) is type(value) and again.equals == value
    assert str(condition) == f"label = {value}"


def test_a_policy_error_is_an_error_of_the_gates() -> None:
    assert issubclass(PolicyError, GateError)
