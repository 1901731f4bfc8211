"""Masks on the page: overlaps by class, and the rows that lost most with their pictures."""

import numpy as np

from quality_gates.report import ClassOverlap, DrawnRow, Picture, ReportContent, png_base64, render_html, report_tables
from tests.quality_gates.report import examples
from tests.quality_gates.report.page import Page


def content() -> ReportContent:
    colours = np.zeros((4, 4, 3), np.uint8) + np.uint8(90)
    pictures = tuple(
        Picture(title=title, png_base64=png_base64(colours, 128, stretch=False)) for title in ("input", "candidate")
    )
    drawn = DrawnRow(row_id="7", slice="place = <top>", parent=0.875, candidate=0.25, pictures=pictures)
    overlaps = (ClassOverlap(name="square", parent=0.9, candidate=0.5),)
    more = {"overlaps": overlaps, "drawn": (drawn,), "flips_total": None, "deployed_version": None}
    return examples.refused().model_copy(update=more)


def test_rows_that_lost_most_are_drawn_beside_each_other() -> None:
    page = Page(render_html(content()))
    assert page.open == []
    assert "Overlap by class" in page.text and "90.0" in page.text and "50.0" in page.text
    assert "0.875 → 0.250" in " ".join(page.text.split()) and "place = <top>" in page.text
    assert [image["alt"] for image in page.named("img")][:2] == [
        "Input of validation row 7",
        "Candidate of validation row 7",
    ]
    assert "could not be compared" not in page.text


def test_a_page_without_masks_says_nothing_of_them() -> None:
    text = Page(render_html(examples.refused())).text
    assert "Overlap by class" not in text and "Rows that lost most" not in text


def test_the_tables_have_figures_and_no_pictures() -> None:
    tables = report_tables(content())
    assert tables["overlaps"] == [{"name": "square", "parent": 0.9, "deployed": None, "candidate": 0.5}]
    assert tables["drawn"] == [{"row_id": "7", "slice": "place = <top>", "parent": 0.875, "candidate": 0.25}]
