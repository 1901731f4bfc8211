"""Looks: recorded before a test row is read, one for each question, and withheld where all of them are taken."""

from dataclasses import replace
from typing import Any

import pytest

from quality_gates.policy import AlphaSpending
from quality_gates.verdict import Look
from tasks.job import Job
from tasks.registry import Grant, Runs
from tasks.selection import ledger_of, next_look, take_look, withheld
from tasks.selection import looks as module
from tasks.upstream import DeviceContext
from tasks.workspace import Workspace
from tests.tasks import tiny
from tests.tasks.builders import on, verdict

SPENT = AlphaSpending(total=0.05, looks=2)


@pytest.fixture
def asked(workspace: Workspace, request: pytest.FixtureRequest) -> Job:
    """A job whose test rows nobody else has, so that it has a ledger of its own in the shared registry."""
    job = tiny.job(workspace, alpha_spending=SPENT)
    split = job.splits["test"]
    own = replace(split, slices=split.slices.assign(case=str(request.node.name)))
    return replace(job, splits={**job.splits, "test": own})


def context(job: Job, version: str = "1", **changes: Any) -> DeviceContext:
    """The context of a version on the device, whose run is written nowhere but in the ledger."""
    asked = replace(job, version=version, identity=f"version {version}", **changes)
    return replace(on(asked), runs=Runs(job.workspace.tracking_uri, job.model), run="none")


@pytest.fixture(autouse=True)
def run_of_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runs, "device", lambda *_: "a run")


def test_a_look_says_its_number_and_its_level(asked: Job) -> None:
    taken = take_look(context(asked))
    assert taken.look == Look(number=1, in_all=1, allowed=2, level=0.025)
    assert taken.withheld is None
    assert taken.look.sentence == "Look 1 of 2 at the test rows; each may pass falsely in 2.5 % of cases."
    decided = taken.closed(verdict())
    assert decided.headline == "Pass: 1 of 1 gates hold, look 1 of 2, each at 2.5 %."
    (kept,) = taken.ledger.looks()
    assert (kept.outcome, kept.said["version"], kept.attempts[0]["run"]) == ("pass", "1", "a run")


def test_the_same_question_is_the_same_look_and_again_is_recorded(asked: Job) -> None:
    take_look(context(asked))
    assert take_look(context(asked, again=True)).look.number == 1
    (kept,) = ledger_of(asked.workspace.tracking_uri, asked.recipe, asked.splits["test"]).looks()
    assert [attempt["again"] for attempt in kept.attempts] == [False, True]


def test_what_a_person_changes_is_another_look(asked: Job) -> None:
    take_look(context(asked))
    weighed = asked.recipe.model_copy(update={"critical_weight": 2.0})
    assert take_look(context(asked, recipe=weighed)).look.number == 2
    profile = asked.recipe.devices[0].model_copy(update={"threads": 2})
    assert take_look(replace(context(asked), device=profile)).look.number == 3


def test_after_the_last_look_the_rows_are_withheld_but_not_from_those_that_had_one(asked: Job) -> None:
    for version in "12":
        assert take_look(context(asked, version)).withheld is None
    third = take_look(context(asked, "3")).withheld
    assert third is not None
    assert third.reason == "All 2 looks of these gates at the test rows are taken, and another one would show nothing."
    assert "new test rows" in third.remedy and "edgewright looks grant" in third.remedy
    assert take_look(context(asked, "2")).withheld is None


def test_a_person_can_grant_further_looks(asked: Job) -> None:
    for version in "123":
        taken = take_look(context(asked, version))
    assert taken.withheld is not None
    taken.ledger.grant(Grant(1, "Ada", "the new rows come in spring"))
    granted = take_look(context(asked, "3")).look
    assert (granted.number, granted.allowed, granted.granted) == (3, 3, 1)
    assert "Look 3 of 3, 1 of them granted beyond the recipe, at the test rows" in granted.sentence
    assert take_look(context(asked, "4")).withheld is not None


def test_the_look_that_would_be_taken_next_is_told_without_taking_it(asked: Job) -> None:
    first = context(asked)
    assert next_look(first.job, first.key).number == 1
    take_look(first)
    assert next_look(first.job, first.job.question_key(first.device)).number == 1
    assert next_look(first.job, "another question").number == 2
    assert len(ledger_of(asked.workspace.tracking_uri, asked.recipe, asked.splits["test"]).looks()) == 1


def test_a_recipe_that_spends_nothing_counts_and_refuses_no_look(asked: Job) -> None:
    free = replace(asked, recipe=asked.recipe.model_copy(update={"alpha_spending": None}))
    looks = [take_look(context(free, version)).look for version in "1234"]
    assert [withheld(look) for look in looks] == [None] * 4
    assert looks[-1] == Look(number=4, in_all=4)
    assert looks[-1].sentence == "Look 4 of these gates at the test rows; no number of looks is set."
    assert verdict().at(looks[-1]).headline == "Pass: 1 of 1 gates hold."


def test_worn_rows_are_warned_of_before_any_long_work(asked: Job, warned: list[str]) -> None:
    module.warn_of_worn_rows(asked)
    assert warned == []
    for version in "23":
        take_look(context(asked, version))
    module.warn_of_worn_rows(asked)
    assert len(warned) == 1 and "every gate will be inconclusive: All 2 looks" in warned[0]


def test_other_test_rows_begin_a_new_ledger(asked: Job) -> None:
    for version in "123":
        take_look(context(asked, version))
    split = asked.splits["test"]
    fresh = replace(asked, splits={**asked.splits, "test": replace(split, targets=split.targets[::-1].copy())})
    assert take_look(context(fresh, "3")).look.number == 1
