"""The picture of the history: a dot per version and figure, hollow where it was refused."""

from dataclasses import replace

import pytest

from quality_gates.report import HistoryRow, render_html
from quality_gates.report.charts.timeline import HistoryPicture, history_pictures
from tests.quality_gates.report import examples


def row(version: int, accuracy: float | None, critical: float | None = None, published: bool = True) -> HistoryRow:
    return HistoryRow(version=str(version), when="now", published=published, accuracy=accuracy, critical=critical)


def history_picture(rows: list[HistoryRow]) -> HistoryPicture | None:
    """The first of the pictures."""
    return next(iter(history_pictures(rows)), None)


def test_versions_go_to_the_right_and_better_ones_up() -> None:
    picture = history_picture([row(1, 0.8, 0.5), row(2, 0.9, 0.7), row(3, 0.7, 0.0, published=False)])
    assert picture is not None
    accuracy, critical = picture.lines
    assert (accuracy.name, critical.name) == ("accuracy", "critical")
    assert [dot.x for dot in accuracy.dots] == sorted(dot.x for dot in accuracy.dots)
    assert accuracy.dots[1].y < accuracy.dots[0].y < accuracy.dots[2].y < critical.dots[2].y
    assert [dot.published for dot in accuracy.dots] == [True, True, False]
    assert [tick.label for tick in picture.x_ticks] == ["v1", "v2", "v3"]


def test_without_a_critical_slice_there_is_one_line_and_gaps_stay_gaps() -> None:
    picture = history_picture([row(1, 0.8), row(2, None), row(3, 0.9)])
    assert picture is not None
    (line,) = picture.lines
    assert len(line.dots) == 2 and len(picture.x_ticks) == 3


def test_all_the_same_is_drawn_too() -> None:
    picture = history_picture([row(1, 1.0), row(2, 1.0)])
    assert picture is not None
    assert picture.lines[0].dots[0].y == picture.lines[0].dots[1].y


def test_many_versions_do_not_crowd_the_axis() -> None:
    picture = history_picture([row(version, 0.9) for version in range(1, 101)])
    assert picture is not None
    assert len(picture.lines[0].dots) == 100 and len(picture.x_ticks) <= 12
    assert picture.x_ticks[-1].label == "v100" and picture.x_ticks[-1].at == picture.lines[0].dots[-1].x


@pytest.mark.parametrize("rows", [[], [row(1, 0.9)], [row(1, None), row(2, float("nan"))]])
def test_one_version_makes_no_picture(rows: list[HistoryRow]) -> None:
    assert history_picture(rows) is None


def test_size_and_latency_have_pictures_that_stand_on_zero() -> None:
    figures = [replace(examples.resources(), size_bytes=1e5 / version, latency_p50_ms=0.1) for version in (1, 2)]
    rows = [row(version, 0.9).model_copy(update={"figures": each}) for version, each in enumerate(figures, 1)]
    accuracy, size, latency = history_pictures(rows)
    assert [picture.title for picture in (accuracy, size, latency)] == ["Accuracy", "File size", "Latency p50"]
    big, small = size.lines[0].dots
    assert (size.bottom - small.y) * 2 == pytest.approx(size.bottom - big.y)
    assert size.y_ticks[0].label == "0 bytes" and latency.y_ticks[0].label == "0 ms"


def test_it_shows_what_was_deployed_from_when_to_when() -> None:
    picture = history_picture([row(1, 0.8), row(2, 0.7, published=False), row(3, 0.9)])
    assert picture is not None
    first, _, third = (dot.x for dot in picture.lines[0].dots)
    assert picture.deployed[0] == (first, third) and picture.deployed[1][0] == third
    nothing = history_picture([row(1, 0.8, published=False), row(2, 0.7, published=False)])
    assert nothing is not None and nothing.deployed == ()


@pytest.mark.parametrize(("published", "key", "other"), [(True, "deployed", "refused"), (False, "refused", "deployed")])
def test_the_legend_names_what_is_drawn(published: bool, key: str, other: str) -> None:
    rows = tuple(row(version, 0.9, published=published) for version in (1, 2))
    html = render_html(examples.refused().model_copy(update={"history": rows}))
    legend = html[html.index('id="history"') :]
    legend = legend[legend.index("<figcaption") : legend.index("</figcaption>")]
    assert f"</svg>{key}</span>" in legend and f"</svg>{other}</span>" not in legend
