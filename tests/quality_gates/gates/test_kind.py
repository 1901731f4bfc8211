"""Every kind of gate declares all of itself in one place, and a kind that is no longer known can still be read."""

from typing import get_args

import pytest

from quality_gates.gates import KINDS, Gate, GateKind, GatePolicy, Shown, plan, shown_of
from quality_gates.policy import SliceCondition
from quality_gates.report import render_html, render_text
from quality_gates.verdict import GateResult, Verdict
from tests.quality_gates.builders import rows
from tests.quality_gates.gates.every_kind import EVERY
from tests.quality_gates.report import examples


def test_the_table_of_kinds_holds_the_kinds_that_a_recipe_may_have() -> None:
    union = get_args(get_args(Gate)[0])
    assert set(KINDS.values()) == set(union)
    assert all(issubclass(kind, GateKind) for kind in union)


@pytest.mark.parametrize("kind", [*KINDS.values(), SliceCondition], ids=lambda kind: kind.__name__)
def test_every_key_is_described_for_the_reference(kind: type[GateKind]) -> None:
    undescribed = [name for name, key in kind.model_fields.items() if name != "kind" and not key.description]
    assert undescribed == []


def test_a_kind_that_declares_too_little_cannot_be_built() -> None:
    class Half(GateKind):
        kind: str = "half"
        name: str

    with pytest.raises(TypeError, match="abstract"):
        Half(name="gate")  # type: ignore[abstract]


@pytest.mark.parametrize("gate", EVERY, ids=lambda gate: str(gate["kind"]))
def test_every_kind_has_a_line_in_a_plan(gate: dict[str, object]) -> None:
    policy = GatePolicy.model_validate({"gates": [{"name": "gate"} | gate]})
    (line,) = plan(policy, rows(100).assign(target="crack"), 0.05)
    assert line.name == "gate" and line.answer


def test_a_stored_verdict_of_an_unknown_kind_is_still_shown() -> None:
    assert shown_of("of tomorrow") == Shown()
    result = GateResult(
        name="tomorrow",
        kind="of tomorrow",
        outcome="fail",
        blocking=True,
        metric="novelty",
        estimate=0.4,
        lower=0.3,
        upper=0.5,
        threshold=0.6,
        sentence="It is not new enough.",
    )
    content = examples.refused().model_copy(update={"verdict": Verdict.of((result,))})
    assert "It is not new enough." in render_html(content)
    assert render_text(content) is not None
