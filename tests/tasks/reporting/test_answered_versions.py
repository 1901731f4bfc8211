"""The answer on a version's own page: what a later run decided nothing about stays as it was."""

from typing import Any

import pytest

from tasks.answer_parts import AnswerKeys
from tasks.outcomes import DeviceFailure, Outcome
from tasks.registry import Answered, AnsweredDevice
from tasks.reporting.answered_versions import answered_with
from tests.flows.visibility.outcomes import line, outcome

KEYS = {name: AnswerKeys("key", "question") for name in ("a", "b")}


def told(found: Outcome, before: Answered | None = None, **changed: AnswerKeys) -> Answered:
    return answered_with(found, before, "all", KEYS | changed, 0)


@pytest.fixture
def published() -> Answered:
    """Both devices have release 4."""
    return told(outcome(*(line(name, published=True, release=4) for name in KEYS)))


def failure(device: str, **said: Any) -> DeviceFailure:
    return DeviceFailure.model_validate({"device": device, "sentence": "no", "asked_again": False, **said})


def test_each_device_has_its_answer_and_release(published: Answered) -> None:
    assert published.devices == {name: AnsweredDevice("published", "key", "question", release=4) for name in KEYS}
    assert published.is_decided


def test_what_is_true_of_today_alone_is_no_answer(published: Answered) -> None:
    other = AnswerKeys("new", "question")
    held = outcome(line("b", published=True, release=5), failures=(failure("a", of_today=True),))
    found = told(held, published, a=other, b=other)
    assert found.devices["a"] == published.devices["a"]
    assert (found.devices["b"].release, found.devices["b"].key) == (5, "new")


def test_a_run_that_decided_nothing_takes_no_answer_back(published: Answered) -> None:
    full_disk = outcome(failures=(failure("a", asked_again=True),))
    found = told(full_disk, published)
    assert found.devices == published.devices
    assert (found.answer, found.is_decided, found.decided) == ("undecided", True, published.decided)
    first = told(full_disk)
    assert not first.is_decided and first.devices["a"].answer == "undecided"


def test_under_another_key_nothing_is_decided_yet(published: Answered) -> None:
    found = told(outcome(failures=(failure("a", asked_again=True),)), published, a=AnswerKeys("new", "question"))
    assert (found.devices["a"].answer, found.devices["b"]) == ("undecided", published.devices["b"])


def test_an_error_of_the_version_is_one_of_the_devices_that_asked(published: Answered) -> None:
    lost = outcome(answer="error", error="the artifact store lost it")
    found = told(lost, published, b=AnswerKeys("new", "question"))
    assert found.devices["a"] == published.devices["a"]
    assert (found.devices["b"].answer, found.devices["b"].release) == ("error", None)


def test_a_device_that_the_recipe_no_longer_has_is_forgotten(published: Answered) -> None:
    found = answered_with(outcome(line("a", published=True, release=5)), published, "all", {"a": KEYS["a"]}, 0)
    assert set(found.devices) == {"a"}
