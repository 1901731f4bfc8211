"""Colours of the report: none for differences inside noise, and no green for a gate that holds at a worthless value."""

import re

import pytest

from quality_gates.report import Mistake, ReportContent, SliceRow, render_html
from quality_gates.verdict import Verdict
from tests.quality_gates.report import examples
from tests.quality_gates.report.terminal import shown


def worthless() -> ReportContent:
    """A published version whose first gate holds at a worthless value."""
    content = examples.published()
    first, *others = content.verdict.gates
    held = first.model_copy(update={"worthless": True, "floor": 0.8, "candidate_value": 0.0, "reference_value": 0.0})
    return content.model_copy(update={"verdict": Verdict.of((held, *others))})


def test_a_gate_that_holds_at_a_worthless_value_is_amber_on_the_page_with_its_values_and_floor() -> None:
    html = render_html(worthless())
    (badge,) = re.findall(r'<span class="badge worthless">.*?</svg>\s*<span>([^<]*)</span>', html, re.DOTALL)
    assert badge == "Holds, worthless"
    assert "<li>floor 80.0 %</li>" in html and html.count("<li>candidate 0.0 %</li>") == 1
    assert 'class="badge worthless"' not in render_html(examples.published())


def test_it_is_told_apart_in_a_terminal_too() -> None:
    lines = shown(worthless()).splitlines()
    name = worthless().verdict.gates[0].name
    assert any(line.startswith("! worthless") and name in line for line in lines)
    assert any(line.startswith(f"{name}: ") for line in lines)


@pytest.mark.parametrize(("is_shown", "tone"), [(True, "worse"), (False, "same")])
def test_a_difference_of_a_slice_has_a_colour_where_the_rows_show_it(is_shown: bool, tone: str) -> None:
    row = SliceRow(slice="site = 1", n=40, parent=0.9, candidate=0.8, vs_parent_shown=is_shown)
    html = render_html(examples.published().model_copy(update={"slices": (row,)}))
    assert f'<td class="number {tone}">\u221210.0 pp</td>' in html


@pytest.mark.parametrize(("candidate", "tone"), [(7, "same"), (40, "worse")])
def test_a_mistake_that_is_made_more_often_has_a_colour_beyond_chance(candidate: int, tone: str) -> None:
    mistake = Mistake(label="cat", prediction="dog", candidate=candidate, reference=5)
    html = render_html(examples.published().model_copy(update={"mistakes": (mistake,), "confusion": None}))
    assert f'<td class="number {tone}">+{candidate - 5}</td>' in html


def test_what_a_stage_changed_has_no_colour_as_its_noise_is_not_known() -> None:
    html = render_html(examples.published())
    ledger = html[html.index('<table class="ledger">') :]
    assert "number same" in ledger and not re.search(r"number (worse|better)", ledger[: ledger.index("</table>")])
