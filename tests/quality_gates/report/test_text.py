"""The report in a terminal."""

import pytest

from quality_gates.report import SliceValue
from quality_gates.verdict import Verdict
from tests.quality_gates.report import examples
from tests.quality_gates.report.terminal import shown


def test_the_verdict_comes_first_and_every_gate_has_a_line() -> None:
    content = examples.refused()
    lines = shown(content).splitlines()
    assert lines[0] == "digits version 3 on mcu-large"
    assert content.verdict.headline in lines[1]
    recall = next(line for line in lines if "recall-8-deployed" in line and "fail" in line and "pp" in line)
    assert "−59.5 pp" in recall and "−10.0 pp" in recall and recall.rstrip().endswith("42")
    size = next(line for line in lines if line.startswith("✓ pass") and " size " in line)
    assert "13.8 kB" in size and "20 kB" in size


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_wider_than_the_terminal_and_no_word_is_broken(width: int) -> None:
    content = examples.refused()
    slices = tuple(SliceValue(name=f"scratches of line {number}", value=0.5) for number in range(4))
    ledger = tuple(row.model_copy(update={"slices": slices}) for row in content.ledger)
    name = "recall on scratches of the packing line against deployed"
    gates = (content.verdict.gates[0].model_copy(update={"name": name}), *content.verdict.gates[1:])
    lines = shown(content.model_copy(update={"ledger": ledger, "verdict": Verdict.of(gates)}), width).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert {"scratches", "packing", "deployed", "−59.5"} <= set(words)
    headings = [line for line in lines if line.startswith("what each stage cost")]
    assert sum(line.count("scratches of line") for line in headings) == 4 and len(headings) > 1
    assert all(line.count("change") == 1 + line.count("scratches") - ("accuracy" not in line) for line in headings)


def test_the_reasons_stand_between_the_verdict_and_the_gates() -> None:
    content = examples.refused()
    text = shown(content, width=1000)
    places = [text.index(f"Why: {reason}\n") for reason in content.verdict.reasons]
    assert places and text.index(content.verdict.headline) < min(places)
    assert max(places) < text.index("threshold")
    assert "Why: " not in shown(examples.published())


def test_a_refusal_ends_with_what_would_have_to_change() -> None:
    assert "To change, recall-8-deployed:" in shown(examples.refused())
    assert "To change" not in shown(examples.published())


def test_gates_without_figures_are_shown_as_such() -> None:
    assert "n/a" in shown(examples.first_deployment())
    assert "✗ fail" in shown(examples.not_measured())


def test_markup_in_a_name_stays_text() -> None:
    content = examples.published().model_copy(update={"model": "[red]model[/red]"})
    assert "[red]model[/red]" in shown(content)


def test_the_models_and_the_ledger_stand_below() -> None:
    lines = shown(examples.refused()).splitlines()
    accuracy = next(line for line in lines if line.startswith("Accuracy "))
    assert accuracy.split() == ["Accuracy", "93.0", "%", "99.0", "%", "93.0", "%"]
    ledger = next(line for line in lines if line.startswith("QAT (INT8)"))
    assert "98.3 %" in ledger and "−0.4 pp" in ledger


def test_answers_of_another_instruction_set_are_marked_below_the_verdict() -> None:
    content = examples.published().model_copy(update={"answers": "Answers are taken elsewhere.", "is_unproven": True})
    lines = [line.rstrip() for line in shown(content).splitlines()]
    assert "? Not proven: Answers are taken elsewhere." in lines[:5]
    assert "Not proven" not in shown(content.model_copy(update={"is_unproven": False}))
