"""The heat map of what is taken for what: numbers, tones, and the same in words."""

import pytest
from pydantic import ValidationError

from quality_gates.report import Confusion, render_html
from quality_gates.report.charts.heat_map import DEEPEST, SHALLOWEST, HeatCell, HeatMap, confusion_picture
from tests.quality_gates.report import examples
from tests.quality_gates.report.page import Page

CONFUSION = Confusion(
    classes=("cat", "dog", "cow"),
    candidate=((6, 4, 0), (0, 9, 1), (0, 0, 0)),
    reference=((9, 1, 0), (0, 8, 2), (0, 0, 0)),
)


def maps(confusion: Confusion = CONFUSION) -> tuple[HeatMap, ...]:
    picture = confusion_picture(confusion, "deployed version 2")
    assert picture is not None
    return picture.maps


def row(heat_map: HeatMap, line: int) -> list[tuple[str, str]]:
    return [(cell.text, cell.tone) for cell in heat_map.lines[line]]


def test_the_diagonal_is_right_and_the_rest_is_wrong() -> None:
    counts, _ = maps()
    assert row(counts, 0) == [("6", "right"), ("4", "wrong"), ("0", "empty")]
    assert row(counts, 1) == [("0", "empty"), ("9", "right"), ("1", "wrong")]


def test_depth_is_the_share_of_the_label_and_for_mistakes_of_the_largest_one() -> None:
    cells = [cell for line in maps()[0].lines for cell in line]
    reached = [(cell.depth - SHALLOWEST) / (DEEPEST - SHALLOWEST) for cell in cells]
    assert (reached[0], reached[4]) == pytest.approx((0.6, 0.9), abs=0.02)
    assert (reached[1], reached[5]) == pytest.approx((1, 0.25), abs=0.02)
    assert cells[2].depth == 0


def test_a_change_is_good_on_the_diagonal_and_bad_beside_it_when_it_is_more() -> None:
    ours, theirs = ((60, 40, 0), (0, 97, 3), (0, 0, 0)), ((90, 10, 0), (0, 80, 20), (0, 0, 0))
    _, change = maps(CONFUSION.model_copy(update={"candidate": ours, "reference": theirs}))
    assert change.title == "Change against deployed version 2"
    assert row(change, 0) == [("\u221230", "worse"), ("+30", "worse"), ("0", "empty")]
    assert row(change, 1) == [("0", "empty"), ("+17", "better"), ("\u221217", "better")]


def test_a_change_that_may_be_chance_has_no_colour() -> None:
    _, change = maps()
    assert row(change, 0) == [("\u22123", "empty"), ("+3", "empty"), ("0", "empty")]
    assert row(change, 1) == [("0", "empty"), ("+1", "empty"), ("\u22121", "empty")]


def test_every_cell_says_itself_in_words() -> None:
    first, second, *_ = maps()[0].lines[0]
    assert first.words == "cat, answered right: 6 of 10 rows (60.0 %); deployed version 2: 9"
    assert second.words == "cat, taken for dog: 4 of 10 rows (40.0 %); deployed version 2: 1"


def test_without_a_reference_there_is_no_change() -> None:
    (counts,) = maps(CONFUSION.model_copy(update={"reference": None}))
    assert counts.lines[0][0].words == "cat, answered right: 6 of 10 rows (60.0 %)"
    assert confusion_picture(None, "the parent") is None


def test_a_flawless_model_and_an_equal_one_are_drawn() -> None:
    right = ((3, 0), (0, 2))
    counts, change = maps(Confusion(classes=("a", "b"), candidate=right, reference=right))
    assert row(counts, 0) == [("3", "right"), ("0", "empty")]
    assert all(cell == HeatCell("0", "empty", 0, cell.words) for line in change.lines for cell in line)


def test_long_names_stand_upright() -> None:
    long = CONFUSION.model_copy(update={"classes": ("Ankle boot", "Bag", "Coat")})
    pictures = [confusion_picture(one, "the parent") for one in (CONFUSION, long)]
    assert [picture is not None and picture.upright for picture in pictures] == [False, True]


def test_a_matrix_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected 2 lines of 2 counts"):
        Confusion(classes=("a", "b"), candidate=((1, 0), (1,)))
    with pytest.raises(ValidationError, match="expected 2 lines of 2 counts"):
        Confusion(classes=("a", "b"), candidate=((1, 0), (0, 1)), reference=((1, 0),))


def test_the_page_has_both_maps_with_the_pairs_folded_behind_them() -> None:
    content = examples.refused().model_copy(update={"confusion": CONFUSION})
    page = Page(render_html(content))
    heats = [table for table in page.named("table") if "heat" in (table.get("class") or "")]
    assert len(heats) == 2
    assert "Change against deployed version 2" in page.text
    assert "The pairs that changed most (1)" in page.text
    titles = [cell["title"] for cell in page.named("td") if "title" in cell]
    assert "cat, taken for dog: 4 of 10 rows (40.0 %); deployed version 2: 1" in titles
    assert len(titles) == 18


def test_without_a_matrix_the_pairs_are_open() -> None:
    page = Page(render_html(examples.refused().model_copy(update={"confusion": None})))
    assert not [table for table in page.named("table") if "heat" in (table.get("class") or "")]
    assert "Confusion What is taken for what on the test split." in page.text
    assert "The pairs that changed most" not in page.text


def test_names_of_classes_are_escaped() -> None:
    evil = "<script>\" onload='x'"
    changed = CONFUSION.model_copy(update={"classes": (evil, "dog", "cow")})
    html = render_html(examples.refused().model_copy(update={"confusion": changed}))
    assert "<script" not in html
    assert not any("onload" in attributes for _, attributes in Page(html).tags)
