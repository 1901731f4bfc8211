"""The section on the data: what differs first, every finding in words, and nothing where nothing was compared."""

from quality_gates.report import render_html
from quality_gates.report.tables import BAR_WIDTH, comparison_lines
from quality_gates.representativeness import Representativeness, hold_against
from tests.quality_gates.report import examples
from tests.quality_gates.report.page import Page
from tests.quality_gates.representativeness.samples import draw, policy


def shifted() -> Representativeness:
    sets = {"train": draw(0, 2000, north=0.9), "calibration": draw(2, 30)}
    return hold_against(policy(), sets, draw(1, 500, labels=False), draw(3, 400))


def page(result: Representativeness | None) -> Page:
    return Page(render_html(examples.published().model_copy(update={"representativeness": result})))


def test_what_differs_comes_first_then_what_is_undecided() -> None:
    words = [line.word for line in comparison_lines(shifted())]
    assert words == sorted(words, key=["Differs", "Undecided", "Alike"].index)
    assert len(set(words)) == 3


def test_all_bars_are_on_one_scale_within_the_picture() -> None:
    lines = comparison_lines(shifted())
    assert max(max(line.bar, line.limit) for line in lines) == BAR_WIDTH
    units = {round(line.bar / line.row.effect, 6) for line in lines if line.row.effect}
    assert len(units) == 1


def test_the_section_says_every_finding_and_what_could_not_be_compared() -> None:
    result = shifted()
    shown = page(result)
    assert shown.open == []
    assert "The data against the deployment sites" in shown.text and result.headline in shown.text
    assert result.findings and all(finding.sentence in shown.text for finding in result.findings)
    assert "The labels at the sites are not known" in shown.text
    assert f"All comparisons ({len(result.comparisons)})" in shown.text


def test_what_is_alike_has_no_findings() -> None:
    shown = page(hold_against(policy(), {"train": draw(0, 2000)}, draw(1, 1500)))
    assert "No difference of train from the deployment sites was shown" in shown.text
    assert "Differs" not in shown.words


def test_without_a_sample_there_is_no_section() -> None:
    assert "deployment sites" not in page(None).text


def test_the_content_survives_json() -> None:
    content = examples.published().model_copy(update={"representativeness": shifted()})
    assert type(content).model_validate_json(content.model_dump_json()) == content
