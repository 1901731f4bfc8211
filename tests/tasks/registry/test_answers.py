"""Answers: found by everything they depend on, counted only when they can be read, asked again if they say nothing."""

import time
from pathlib import Path
from typing import Any

import pytest

from tasks.registry import Answers, Runs
from tasks.registry.answers import OUTCOME, RecordedError
from tests.tasks.registry.versions import answered_versions


class Book:
    """The answers of a model of each test's own, with runs to record them on."""

    def __init__(self, tracking_uri: str, model: str) -> None:
        self.runs = Runs(tracking_uri, model)
        self.answers = Answers(self.runs)

    def version(self, version: str = "1", key: str = "key") -> str:
        return self.runs.parent(version, key, f"m v{version}", {})

    def device(self, version: str = "1", key: str = "device key") -> str:
        return self.runs.device(self.version(version), version, "gateway", key)

    def found(self, version: str = "1", key: str = "device key") -> list[tuple[str, str, dict[str, Any]]]:
        return [(each.run, each.answer, dict(each.outcome)) for each in self.answers.of_device(version, key)]

    def file(self, run: str) -> Path:
        return Path(self.runs.client.get_run(run).info.artifact_uri) / OUTCOME


@pytest.fixture
def book(tracking_uri: str, request: pytest.FixtureRequest) -> Book:
    return Book(tracking_uri, str(request.node.name).partition("[")[0])


def test_a_run_that_was_killed_before_the_tag_gave_no_answer(book: Book) -> None:
    book.runs.text(book.device(), OUTCOME, "{}")
    assert book.found() == []
    assert answered_versions(book.runs) == set()


def test_an_answer_is_found_by_version_and_key(book: Book) -> None:
    run = book.device("7")
    book.answers.record(run, "published", {"rung": "PTQ"})
    assert book.found("7") == [(run, "published", {"rung": "PTQ"})]
    assert book.found("7", "other") == book.found("8") == []
    assert book.runs.client.get_run(run).info.status == "FINISHED"


def test_the_newest_answer_comes_first_and_all_are_kept(book: Book) -> None:
    for answer in ("refused", "published"):
        book.answers.record(book.device(), answer, {"said": answer})
        time.sleep(0.005)
    assert [answer for _, answer, _ in book.found()] == ["published", "refused"]
    assert [each.answer for each in book.answers.of_devices()] == ["refused", "published"]


def test_what_was_undecided_is_no_answer(book: Book) -> None:
    book.answers.record(book.device(), "undecided", {})
    book.answers.record(book.version(), "undecided", {}, "all keys")
    assert book.found() == [] and answered_versions(book.runs) == set()


def test_attempts_are_counted_under_one_key_and_end_with_an_answer(book: Book) -> None:
    run = book.version()
    for attempts in range(3):
        assert book.answers.attempts(run, "all keys") == attempts
        book.answers.record(run, "undecided", {}, "all keys")
    assert book.answers.attempts(run, "another device") == 0
    book.answers.record(run, "refused", {}, "all keys")
    assert book.answers.attempts(run, "all keys") == 0


def test_an_error_is_the_answer_to_exactly_one_question(book: Book) -> None:
    run = book.version()
    book.answers.record(run, "error", {"error": "no such slice"}, "all keys")
    assert book.answers.error("1", "key", "all keys") == RecordedError(run, "no such slice")
    assert book.answers.error("1", "key", "another device") is None
    assert book.answers.error("2", "key", "all keys") is None
    assert book.runs.client.get_run(run).info.status == "FAILED"
    assert answered_versions(book.runs) == {1}


def test_the_outcome_is_there_before_the_answer_counts(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    run, order = book.device(), list[str]()
    log, text = Runs.log, Runs.text

    def tagged(self: Runs, *given: Any, **named: Any) -> None:
        order.append("tag")
        log(self, *given, **named)

    def written(self: Runs, *given: Any) -> None:
        order.append("outcome")
        text(self, *given)

    monkeypatch.setattr(Runs, "log", tagged)
    monkeypatch.setattr(Runs, "text", written)
    book.answers.record(run, "refused", {})
    assert order == ["outcome", "tag"]


@pytest.mark.parametrize("content", [None, "{cut", "[1, 2]", "null"])
def test_an_answer_that_cannot_be_read_does_not_count(book: Book, warned: list[str], content: str | None) -> None:
    run = book.device(key=f"key {content}")
    book.answers.record(run, "published", {"answer": "published"})
    if content is None:
        book.file(run).unlink()
    else:
        book.file(run).write_text(content)
    assert book.found(key=f"key {content}") == []
    assert len(warned) == 1
    assert f"run {run}: its {OUTCOME} cannot be read" in warned[0]


def test_a_text_is_found_on_whichever_run_of_a_device_has_it(book: Book) -> None:
    first = book.device()
    book.runs.text(first, "approval.json", "{}")
    book.answers.record(first, "refused", {})
    time.sleep(0.005)
    assert book.device() != first
    assert book.answers.find_child_text("1", "device key", "approval.json") == "{}"
    assert book.answers.find_child_text("1", "another", "approval.json") is None


def test_an_answer_is_found_by_its_question_whatever_the_toolchain(book: Book) -> None:
    for key, answer in (("old toolchain", "refused"), ("new toolchain", "published"), ("newer", "undecided")):
        run = book.runs.device(book.version(), "1", "gateway", key, "question")
        book.answers.record(run, answer, {})
        time.sleep(0.005)
    assert [each.answer for each in book.answers.to_question("1", "question")] == ["published", "refused"]
    assert list(book.answers.to_question("2", "question")) == list(book.answers.to_question("1", "another")) == []
