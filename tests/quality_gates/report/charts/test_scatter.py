"""Places of the parts of the size/accuracy picture."""

import pytest

from quality_gates.report import SizePoint, render_html
from quality_gates.report.charts.scatter import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    FrontierPicture,
    frontier_picture,
)
from tests.quality_gates.report import examples

POINTS = examples.refused().points


def drawn(points: tuple[SizePoint, ...], budget: float | None = None) -> FrontierPicture:
    picture = frontier_picture(points, budget)
    assert picture is not None
    return picture


def test_smaller_is_further_left_and_better_is_higher() -> None:
    marks = {mark.point.label: mark for mark in drawn(POINTS).marks}
    assert marks["QAT"].x < marks["round 4"].x < marks["round 1"].x < marks["parent"].x
    assert marks["parent"].y < marks["round 4"].y < marks["PTQ min-max"].y


def test_equal_ratios_of_size_are_equal_distances() -> None:
    sizes = [SizePoint(label=str(b), kind="rung", size_bytes=b, accuracy=0.9) for b in (1e3, 1e4, 1e5)]
    x = [mark.x for mark in drawn(tuple(sizes)).marks]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1])


def test_everything_lies_within_the_frame() -> None:
    picture = drawn(POINTS, 20_000.0)
    assert all(LEFT <= mark.x <= WIDTH - RIGHT and TOP <= mark.y <= HEIGHT - BOTTOM for mark in picture.marks)
    assert all(LEFT <= tick.at <= WIDTH - RIGHT for tick in picture.x_ticks)
    assert all(TOP <= tick.at <= HEIGHT - BOTTOM for tick in picture.y_ticks)
    assert picture.x_ticks and picture.y_ticks


def test_the_trajectory_runs_along_the_snapshots_and_leaves_out_the_rungs_and_what_is_deployed() -> None:
    picture = drawn(POINTS)
    expected = [(mark.x, mark.y) for mark in picture.marks if mark.point.kind in ("parent", "snapshot")]
    assert list(picture.trajectory) == expected
    assert len(expected) == 5


def test_the_budget_line_splits_what_fits_from_what_does_not() -> None:
    picture = drawn(POINTS, 20_000.0)
    assert picture.budget_x is not None
    fits = {mark.point.label for mark in picture.marks if mark.x <= picture.budget_x}
    assert fits == {"PTQ min-max", "QAT", "deployed"}


def test_a_budget_far_off_is_left_out() -> None:
    assert drawn(POINTS, 1e9).budget_x is None
    assert drawn(POINTS, None).budget_x is None


def test_points_without_size_or_accuracy_are_left_out() -> None:
    half = SizePoint(label="half", kind="rung", size_bytes=100.0)
    broken = SizePoint(label="broken", kind="rung", size_bytes=float("nan"), accuracy=0.5)
    assert len(drawn((*POINTS, half, broken)).marks) == len(POINTS)
    assert frontier_picture((half, broken), 20_000.0) is None


def test_a_single_point_is_drawn() -> None:
    picture = drawn((SizePoint(label="parent", kind="parent", size_bytes=5e4, accuracy=1.0),))
    assert len(picture.marks) == 1
    assert all(tick.label != "101 %" for tick in picture.y_ticks)


def test_the_title_names_size_accuracy_and_choice() -> None:
    titles = [mark.title for mark in drawn(POINTS).marks]
    assert "QAT, chosen: 13.8 kB, 98.3 % on validation – holds on validation" in titles


def test_what_is_deployed_has_a_label_before_all_but_the_chosen_one() -> None:
    crowd = [SizePoint(label=f"round {i}", kind="snapshot", size_bytes=1e4 + i, accuracy=0.9) for i in range(12)]
    deployed = SizePoint(label="deployed", kind="deployed", size_bytes=1e4, accuracy=0.9)
    marks = {mark.point.label: mark for mark in drawn((*crowd, deployed)).marks}
    assert marks["deployed"].label is not None
    assert marks["round 3"].label is None


def test_the_page_marks_what_is_deployed_and_says_on_which_rows_only_where_something_is() -> None:
    replacing, first = (render_html(example()) for example in (examples.refused, examples.first_deployment))
    assert replacing.count('class="mark deployed"') == 2  # in the picture and in its legend
    assert "the one deployed until now, measured again on the same rows" in replacing
    assert 'class="mark deployed"' not in first and "deployed until now" not in first
