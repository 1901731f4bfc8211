"""The model card: every part is there, nothing in it is markup of a stranger's, and what is missing is said."""

import re

import pytest

from quality_gates.report import ReportContent, render_model_card
from quality_gates.report.model_card import NOT_STATED, table
from tests.quality_gates.report import examples

SECTIONS = ["Purpose", "Figures", "Gates", "Data", "Slices", "Limits", "Origin"]


def section(card: str, name: str) -> str:
    return card.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("content", [examples.refused(), examples.published(), examples.undecided()])
def test_a_published_version_says_as_much_as_a_refused_one(content: ReportContent) -> None:
    card = render_model_card(content)
    assert re.findall("^## (.*)$", card, re.M) == SECTIONS
    assert content.verdict.headline in card and content.decision in card
    for gate in content.verdict.gates:
        assert f"| {gate.name} |" in section(card, "Gates")
    assert re.search(r"Pass \| \S+ pp \| \S+ pp \.\. \S+ pp", section(card, "Gates"))  # bounds, also of what passed
    assert "| Latency p99 | 0.094 ms |" in section(card, "Figures")
    assert f"| test | 420 | {'2b' * 32} |" in section(card, "Data")
    assert "Reads digits off the meters of a hall." in section(card, "Purpose")
    assert "| input | image | float32 | rows x 1 x 8 x 8 |" in section(card, "Purpose")
    assert "label = 8 (critical)" in section(card, "Slices")


def test_limits_name_what_was_not_shown() -> None:
    unproven = examples.first_deployment().model_copy(update={"is_unproven": True, "answers": "Answered elsewhere."})
    card = render_model_card(unproven)
    limits = section(card, "Limits")
    assert "- Answered elsewhere." in limits and "⚠ **Not proven:** Answered elsewhere." in card
    waiting = [gate for gate in unproven.verdict.gates if gate.outcome == "not_applicable"]
    assert waiting and all(f"- {gate.sentence}" in limits for gate in waiting)
    assert "(warns only)" not in section(card, "Gates")


def test_what_an_older_release_recorded_has_a_card_that_says_what_is_missing() -> None:
    card = render_model_card(examples.published().model_copy(update={"origin": None}))
    assert NOT_STATED in card and "sha256" not in section(card, "Data")
    assert "Nothing was measured." in render_model_card(examples.published().model_copy(update={"sides": ()}))


def test_markup_in_names_stays_text() -> None:
    evil = "<script>|[x](http://y) **b**\n# heading"
    content = examples.refused().model_copy(update={"model": evil, "decision": evil, "lineage": (("a", evil),)})
    card = render_model_card(content)
    assert "<script>" not in card.replace("\\<script", "") and "\n# heading" not in card
    assert table(("a",), [("x|y",)])[2] == "| x\\|y |"
