"""Reports of candidates that persons sign for: who, when and why, in every form, with markup in names left as text."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from quality_gates.report import ReportContent, attestation, render_html, render_model_card, render_text
from quality_gates.sign_off import SignOff, SignOffChoice, SignOffs, SignOffSubject
from quality_gates.verdict import Verdict
from tests.quality_gates.report import examples
from tests.quality_gates.report.page import Page

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUBJECT = SignOffSubject(model="m", version="2", device="d", run="r", verdict_sha256="a", file_sha256="b")


def signed(*given: tuple[str, str, SignOffChoice], by_key: bool = False) -> ReportContent:
    records = tuple(
        SignOff(subject=SUBJECT, name=name, reason=reason, choice=choice, given=NOW) for name, reason, choice in given
    )
    asked = SignOffs(persons=2, until=NOW + timedelta(days=7), given=records, by_key=by_key)
    return examples.published().model_copy(update={"sign_off": asked})


def on_a_terminal(content: ReportContent) -> str:
    console = Console(width=200, record=True)
    with console.capture() as captured:
        console.print(render_text(content))
    return captured.get()


@pytest.mark.parametrize("form", [render_html, render_model_card, on_a_terminal])
def test_every_form_says_who_signed_and_that_the_name_is_a_claim(form: object) -> None:
    assert callable(form)
    told = form(signed(("Ada", "It reads well.", "publish")))
    assert "Ada (claimed)" in told and "It reads well." in told
    by_key = form(signed(("Ada", "It reads well.", "publish"), by_key=True))
    assert "Ada (by key)" in by_key and "(claimed)" not in by_key


def test_a_reason_with_markup_stays_text() -> None:
    content = signed(("Ada", "<script>alert(1)</script> [bold]*so*", "refuse"))
    assert "<script>" not in render_html(content) and Page(render_html(content)).open == []
    assert r"\<script\>" in render_model_card(content) and r"\*so\*" in render_model_card(content)
    assert "[bold]" in on_a_terminal(content)


def test_the_page_counts_and_says_until_when() -> None:
    text = Page(render_html(signed(("Ada", "So.", "publish")))).text
    assert "1 of 2" in text and "2026-03-08 12:00 UTC" in text and "signed off by Ada (claimed)" in text
    assert "Sign-off" not in Page(render_html(examples.published())).text


def test_an_attestation_has_the_decisions_with_their_state() -> None:
    content = signed(("Ada", "So.", "publish"), ("Grace", "No.", "refuse"))
    judged = content.model_copy(update={"verdict": Verdict.of(content.verdict.gates, file="3c" * 32)})
    statement = attestation(judged)
    assert statement is not None
    said = json.loads(statement)["predicate"]["edgewright"]["signOff"]
    assert (said["state"], said["namesAreClaims"], said["persons"]) == ("refused", True, 2)
    assert [(each["name"], each["choice"]) for each in said["given"]] == [("Ada", "publish"), ("Grace", "refuse")]
