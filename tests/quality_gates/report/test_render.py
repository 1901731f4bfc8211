"""The page as a reader's browser gets it."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from quality_gates.approval import approve
from quality_gates.report import LayerRow, ReportContent, Side, SizePoint, SliceValue, render_html
from quality_gates.report.render import MAX_FLIPS
from tests.quality_gates.builders import turn_latency
from tests.quality_gates.report import examples
from tests.quality_gates.report.page import SVG_VOID, Page

EXAMPLES = [
    examples.refused,
    examples.published,
    examples.first_deployment,
    examples.undecided,
    examples.not_measured,
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_tag_is_closed_in_order(example: Callable[[], ReportContent]) -> None:
    page = Page(render_html(example()))
    assert page.open == []
    assert len(page.tags) > 50


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_page_needs_nothing_but_itself(example: Callable[[], ReportContent]) -> None:
    html = render_html(example())
    page = Page(html)
    assert not re.search(r"https?://|@import|url\(", html)
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in page.named("img"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_coordinate_is_a_number(example: Callable[[], ReportContent]) -> None:
    page = Page(render_html(example()))
    names = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points")
    shapes = SVG_VOID | {"text"}
    values = [(tag, name, attributes.get(name)) for tag, attributes in page.tags if tag in shapes for name in names]
    given = [value for _, _, value in values if value is not None]
    assert given
    assert all(re.fullmatch(r"[-\d., ]+", value) for value in given)
    sizes = [float(value) for _, name, value in values if name in ("width", "height") and value is not None]
    assert all(size >= 0 for size in sizes)


@pytest.mark.parametrize("example", EXAMPLES)
def test_ids_are_unique_and_every_label_exists(example: Callable[[], ReportContent]) -> None:
    page = Page(render_html(example()))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    referred = [name for _, a in page.tags for name in (a.get("aria-labelledby") or "").split()]
    assert len(ids) == len(set(ids))
    assert set(referred) <= set(ids)
    assert all(picture.get("aria-labelledby") or picture.get("aria-hidden") for picture in page.named("svg"))
    assert all("scope" in heading for heading in page.named("th"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_verdict_comes_before_the_gates_and_the_gates_before_the_tables(
    example: Callable[[], ReportContent],
) -> None:
    content = example()
    text = Page(render_html(content)).text
    parts = [content.verdict.headline, content.decision, "The gates", "Side by side", "Size and accuracy", "Rows that"]
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    assert all(gate.sentence in text for gate in content.verdict.gates)


def test_a_refusal_says_why_and_what_would_have_to_change() -> None:
    content = examples.refused()
    text = Page(render_html(content)).text
    assert all(text.count(reason) == 2 for reason in content.verdict.reasons)
    remedy = next(gate.remedy for gate in content.verdict.gates if gate.name == "recall-8-deployed")
    assert remedy is not None and remedy in text
    assert "showing 20 of 25" in text
    assert "Published no" in text


def test_a_pass_has_nothing_to_change() -> None:
    text = Page(render_html(examples.published())).text
    assert "What would have to change" not in text
    assert "Published yes" in text
    assert "No test row that deployed version 1 gets right is wrong with the candidate." in text


def test_a_first_deployment_says_so_and_has_no_column_for_the_deployed_model() -> None:
    text = Page(render_html(examples.first_deployment())).text
    assert text.count("No deployed model yet") >= 3
    assert "Against parent" in text
    assert "Against deployed" not in text


def test_the_outcome_is_told_by_a_symbol_and_a_word_beside_its_colour() -> None:
    glyphs = {}
    for example in (examples.published, examples.refused, examples.undecided):
        content = example()
        html = render_html(content)
        seal = html[html.index('<div class="seal">') : html.index("</svg>")]
        found = re.search(r'class="glyph" d="([^"]+)"', seal)
        assert found is not None
        glyphs[content.verdict.outcome] = found[1]
    assert sorted(glyphs) == ["fail", "inconclusive", "pass"]
    assert len(set(glyphs.values())) == 3


def test_a_measurement_that_failed_leaves_no_picture_and_no_made_up_number() -> None:
    page = Page(render_html(examples.not_measured()))
    assert not [svg for svg in page.named("svg") if svg.get("class") in ("picture", "plot")]
    assert "The test rows could not be compared." in page.text
    assert "None of these models has both a size and an accuracy." in page.text
    assert not re.search(r"\bnan\b|\bNone\b(?! of these)", page.text)


def test_infinite_and_missing_figures_are_shown_as_missing() -> None:
    broken = replace(examples.resources(), load_ms=float("inf"))
    content = examples.published().model_copy(
        update={
            "sides": (Side(role="candidate", name="v2", accuracy=float("nan"), figures=broken),),
            "points": (SizePoint(label="parent", kind="parent", size_bytes=float("nan"), accuracy=0.9),),
        }
    )
    html = render_html(content)
    assert not re.search(r"\b(nan|inf)\b", html)


def test_names_and_values_are_escaped_wherever_they_stand() -> None:
    evil = "<script>alert(1)</script>\" onload='x'"
    content = examples.refused()
    rows = [
        row.model_copy(update={"row_id": evil, "label": evil, "text": evil, "slice": evil}) for row in content.flips
    ]
    gates = [gate.model_copy(update={"name": evil, "sentence": evil}) for gate in content.verdict.gates]
    html = render_html(
        content.model_copy(
            update={
                **dict.fromkeys(("model", "version", "device", "decision", "flips_against", "deployed_version"), evil),
                "verdict": content.verdict.model_copy(update={"gates": tuple(gates)}),
                "flips": tuple(rows),
                "sides": tuple(side.model_copy(update={"name": evil}) for side in content.sides),
                "points": tuple(p.model_copy(update={"label": evil, "note": evil}) for p in content.points),
                "rungs": tuple(r.model_copy(update={"name": evil, "outcome": evil}) for r in content.rungs),
                "slices": tuple(s.model_copy(update={"slice": evil}) for s in content.slices),
                "lineage": ((evil, evil),),
            }
        )
    )
    page = Page(html)
    assert "<script" not in html
    assert not any("onload" in attributes for _, attributes in page.tags)
    assert html.count("&lt;script&gt;") > 100


def test_many_flipped_rows_are_capped_and_counted() -> None:
    content = examples.refused()
    many = content.model_copy(update={"flips": content.flips * 3, "flips_validation": 1234})
    page = Page(render_html(many))
    assert len(page.named("img")) == MAX_FLIPS
    assert f"showing {MAX_FLIPS} of 1,234" in page.text


def test_rows_say_of_which_split_they_are_and_test_rows_are_counted() -> None:
    page = Page(render_html(examples.refused()))
    assert "31 test rows that deployed version 2 gets right are wrong with the candidate" in page.text
    assert "Test rows are counted and not shown" in page.text and "Validation rows that deployed version 2" in page.text
    assert "validation row 1400" in page.text and "test row 14" not in page.text
    allowed = Page(render_html(examples.undecided()))
    assert "test row 1400" in allowed.text and "counted and not shown" not in allowed.text


@pytest.mark.parametrize(("count", "said"), [(None, "rows could not be compared"), (0, "No validation row flipped")])
def test_validation_rows_that_are_missing_are_told(count: int | None, said: str) -> None:
    content = examples.refused().model_copy(update={"flips": (), "flips_validation": count})
    assert said in Page(render_html(content)).text


def test_rows_of_text_are_shown_as_text_and_cut_when_long() -> None:
    content = examples.undecided()
    flips = tuple(r.model_copy(update={"image_png_base64": None, "text": "word " * 500}) for r in content.flips)
    page = Page(render_html(content.model_copy(update={"flips": flips})))
    assert not page.named("img")
    assert 0 < page.text.count("word") < 3 * 100
    assert "3 in all" in page.text


def test_the_picture_of_sizes_says_that_its_accuracy_is_on_validation() -> None:
    text = Page(render_html(examples.refused())).text
    assert "Accuracy here is on the validation split" in text
    assert "Accuracy (validation)" in text


def test_both_colour_schemes_and_print_are_styled() -> None:
    html = render_html(examples.refused())
    assert "@media (prefers-color-scheme: dark)" in html
    assert "@media print" in html
    schemes = [set(re.findall(r"(--[a-z-]+):", block)) for block in re.findall(r":root \{(.*?)\}", html, re.S)]
    assert len(schemes) == 3
    assert schemes[0] == schemes[1] == schemes[2]


def test_a_plausibility_gate_says_how_its_picture_is_read() -> None:
    content = examples.published()
    gates = tuple(gate.model_copy(update={"kind": "plausibility"}) for gate in content.verdict.gates[:1])
    changed = content.model_copy(update={"verdict": content.verdict.model_copy(update={"gates": gates})})
    assert "asks the other way round" in Page(render_html(changed)).text
    assert "asks the other way round" not in Page(render_html(content)).text


def test_an_approval_is_read_first() -> None:
    content = examples.refused()
    verdict = approve(
        content.verdict, name="Ada", reason="The press stands still.", given=date(2026, 3, 1), until=date(2026, 4, 1),
        run_key="k", file="a" * 64,
    )  # fmt: skip
    html = render_html(content.model_copy(update={"verdict": verdict, "published": True}))
    text = Page(html).text
    assert 'class="verdict overridden"' in html
    assert "The gates say fail" in text and "Ada answers for it until 2026-04-01" in text
    assert text.index("The press stands still.") < text.index("The gates Against")


def test_answers_of_another_instruction_set_are_amber_and_others_a_note() -> None:
    content = examples.published().model_copy(update={"answers": "Answers are taken elsewhere."})
    assert '<p class="note">Answers are taken elsewhere.</p>' in render_html(content)
    page = render_html(content.model_copy(update={"is_unproven": True}))
    assert '<p class="unproven"><strong>Not proven:</strong> Answers are taken elsewhere.</p>' in page


def test_each_printed_page_has_run_digest_and_number() -> None:
    content = examples.refused()
    page = render_html(content)
    below = page.partition("@page {")[2].partition("</style>")[0].partition("@page {")[2]
    assert f'content: "run {"6d" * 16}\\A file sha256 –"' in below
    assert 'content: "page " counter(page) " of " counter(pages)' in below
    evil = examples.ORIGIN.model_copy(update={"run": '"; } </style><script>\\'})
    assert "<script>" not in render_html(content.model_copy(update={"origin": evil}))


def test_layers_have_a_line_each_or_a_reason() -> None:
    content = examples.refused()
    layers = tuple(
        LayerRow(layer=name, change=-0.01, slices=(SliceValue(name="label = 8", value=0.0),), output_change=share)
        for name, share in (("first", 0.02), ("last", 0.01))
    )
    page = Page(render_html(content.model_copy(update={"layers": layers, "layers_note": "One at a time."})))
    assert page.text.count("−1.0 pp") >= 2
    meters = [a["width"] for tag, a in page.tags if tag == "rect" and a.get("class") == "bar"][-2:]
    assert meters == ["100.0", "50.0"]
    long = LayerRow(layer="blocks_1.<b>conv", output_change=0.1)
    html = render_html(content.model_copy(update={"layers": (long,)}))
    assert "blocks_<wbr>1.<wbr>&lt;b&gt;conv" in html  # breaks where a reader would, and is escaped all the same
    assert "Could not." in Page(render_html(content.model_copy(update={"layers_note": "Could not."}))).text


def test_a_report_of_errors_speaks_of_scores_and_not_of_percent() -> None:
    content = examples.refused()
    points = tuple(point.model_copy(update={"accuracy": -(point.accuracy or 0)}) for point in content.points)
    sides = tuple(side.model_copy(update={"accuracy": -(side.accuracy or 0), "slices": ()}) for side in content.sides)
    rows = tuple(
        row.model_copy(update={"accuracy": -(row.accuracy or 0), "scores_are_shares": False, "critical": None})
        for row in content.history
    )
    told = {"points": points, "sides": sides, "history": rows, "scores_are_shares": False, "slices": (), "layers": ()}
    page = Page(render_html(content.model_copy(update=told)))
    assert "Size and score" in page.text and "Score on the test split" in page.text
    heights = [float(mark["cy"] or "nan") for mark in page.named("circle")]
    assert len(heights) > 5 and all(0 < height < 400 for height in heights)


def test_times_are_compared_where_they_were_taken_in_turns_on_a_quiet_machine() -> None:
    page = render_html(examples.published())
    assert "Latency in turns (3 lines)" in page
    assert "about the same" in page
    assert "These times do not compare: 7 of 400 calls kept the CPU, and at least 20 must." in page
    assert "faster" not in page and "slower" not in page
    bare = render_html(examples.published().model_copy(update={"turns": ()}))
    assert "Latency in turns" not in bare


def test_the_history_has_release_numbers_and_says_that_the_page_is_older_than_its_own() -> None:
    content = examples.refused()
    page = render_html(content)
    assert re.findall(r'data-label="release">(.*?)</td>', page) == ["1", "2", ""]
    assert "its number is claimed after" not in page
    this = content.history[0].model_copy(update={"version": "4", "release": None})
    page = render_html(content.model_copy(update={"history": (*content.history, this)}))
    assert re.findall(r'data-label="release">(.*?)</td>', page) == ["1", "2", "", "new"]
    assert "its number is claimed after this page is written" in page


def test_the_note_of_a_model_that_was_timed_in_turns_stands_beneath_its_line() -> None:
    content = examples.published()
    (turns, *_) = content.turns
    quiet = replace(turns, latencies={"candidate": turn_latency()}, failures={})
    silent = Page(render_html(content.model_copy(update={"turns": (quiet,)})))
    assert not [row for row in silent.named("tr") if row.get("class") == "beneath"]
    failed = replace(quiet, failures={"deployed": "it crashed"})
    page = Page(render_html(content.model_copy(update={"turns": (failed,)})))
    assert len([row for row in page.named("tr") if row.get("class") == "beneath"]) == 1
    assert "– These times do not compare: it crashed." in page.text
