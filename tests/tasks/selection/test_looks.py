"""Looks: recorded before a test row is read, one for each question, and withheld where all of them are taken."""

from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from quality_gates.policy import AlphaSpending
from quality_gates.verdict import Look
from tasks.job import Job
from tasks.registry import Grant, Runs, TakenLook
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
    return with_test_rows(job, crc32(request.node.name.encode()))


def with_test_rows(job: Job, seed: int, kept: int = 0) -> Job:
    """The job with test rows of its own but for the first `kept` ones."""
    split = job.splits["test"]
    points = np.random.default_rng(seed).normal(size=split.inputs[0].shape).astype(np.float32)
    points[:kept] = split.inputs[0][:kept]
    return replace(job, splits={**job.splits, "test": replace(split, inputs=(points,))})


def trimmed(job: Job, rows: int) -> Job:
    """The job with its first test rows alone, and a slice column more."""
    split = job.splits["test"]
    slices = split.slices.iloc[:rows].assign(shift="late")
    own = replace(split, inputs=(split.inputs[0][:rows],), targets=split.targets[:rows], slices=slices)
    return replace(job, splits={**job.splits, "test": own})


def context(job: Job, version: str = "1", **changes: Any) -> DeviceContext:
    """The context of a version on the device, whose run is written nowhere but in the ledger."""
    asked = replace(job, version=version, identity=f"version {version}", **changes)
    return replace(on(asked), runs=Runs(job.workspace.tracking_uri, job.model), run="none")


def looks_of(job: Job) -> tuple[TakenLook, ...]:
    return ledger_of(job.workspace.tracking_uri, job.recipe, job.splits["test"]).read().looks


@pytest.fixture(autouse=True)
def run_of_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runs, "device", lambda *_: "a run")


def test_a_look_says_its_number_and_its_level(asked: Job) -> None:
    taken = take_look(context(asked))
    assert taken.look == Look(number=1, taken=1, in_all=1, allowed=2, level=0.025, spent=0.025, total=0.05)
    assert taken.withheld is None
    assert taken.look.sentence == (
        "Look 1 of 2 at the test rows. It may pass falsely in 2.5 % of cases; 2.5 % of 5 % in all are spent."
    )
    decided = taken.closed(verdict())
    assert decided.headline == "Pass: 1 of 1 gates hold, look 1 of 2, each at 2.5 %."
    (kept,) = taken.ledger.read().looks
    assert (kept.outcome, kept.said["version"], kept.attempts[0]["run"]) == ("pass", "1", "a run")


def test_the_same_question_is_the_same_look_and_again_is_recorded(asked: Job) -> None:
    take_look(context(asked))
    assert take_look(context(asked, again=True)).look.number == 1
    (kept,) = looks_of(asked)
    assert [attempt["again"] for attempt in kept.attempts] == [False, True]


def test_what_a_person_changes_is_another_look(asked: Job) -> None:
    three = AlphaSpending(total=0.06, looks=3)
    asked = replace(asked, recipe=asked.recipe.model_copy(update={"alpha_spending": three}))
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


def test_withheld_looks_take_no_number_and_are_told_apart(asked: Job) -> None:
    for version in "1234":
        withheld_look = take_look(context(asked, version)).look
    assert (withheld_look.number, withheld_look.taken, withheld_look.allowed) == (None, 2, 2)
    assert withheld_look.sentence == (
        "No look was taken at the test rows: 2 of 2 are taken, and 5 % of 5 % in all are spent."
    )
    assert [look.number for look in looks_of(asked)] == [1, 2, None, None]


def test_a_person_can_grant_further_looks(asked: Job) -> None:
    for version in "1234":
        taken = take_look(context(asked, version))
    assert taken.withheld is not None
    taken.ledger.grant(Grant(1, 0.025, "Ada", "to decide version 4"))
    granted = take_look(context(asked, "4")).look
    assert (granted.number, granted.allowed, granted.granted) == (3, 3, 1)
    assert "Look 3 of 3, 1 of them granted beyond the recipe, at the test rows" in granted.sentence
    assert "7.5 % of 7.5 % in all are spent" in granted.sentence
    assert take_look(context(asked, "3")).withheld is not None


@pytest.mark.parametrize("later", [None, AlphaSpending(total=0.4, looks=1), AlphaSpending(total=0.4, looks=400)])
def test_a_total_that_was_stated_stays_until_a_person_grants_more(
    asked: Job, later: AlphaSpending | None, warned: list[str]
) -> None:
    for version in "12":
        take_look(context(asked, version))
    loosened = replace(asked, recipe=asked.recipe.model_copy(update={"alpha_spending": later}))
    module.warn_of_worn_rows(loosened)
    stays = "Looks of these gates were taken under a total of 5 %, which stays, whatever the recipe says now."
    assert len(warned) == 2 and "every gate will be inconclusive" in warned[0] and warned[1] == stays
    look = take_look(context(loosened, "3")).look
    assert look.is_withheld and stays in look.sentence


def test_a_look_that_would_spend_more_than_is_left_says_so(asked: Job) -> None:
    take_look(context(asked))
    free = replace(asked, recipe=asked.recipe.model_copy(update={"alpha_spending": None}))
    worn = take_look(context(free, "2")).withheld
    assert worn is not None
    assert worn.reason == (
        "One more look of these gates at the test rows may pass falsely in 5 % of cases, and only 2.5 % of 5 % in all "
        "are left."
    )
    assert take_look(context(asked, "3")).look.number == 2


def test_one_row_less_is_no_new_test_split(asked: Job, warned: list[str]) -> None:
    for version in "12":
        take_look(context(asked, version))
    cut = trimmed(asked, 29)
    worn = take_look(context(cut, "3"))
    assert worn.withheld is not None and "All 2 looks" in worn.withheld.reason
    assert "2 of the looks were at another test split, which has more than half of these rows." in worn.look.sentence
    module.warn_of_worn_rows(cut)
    assert len(warned) == 2 and "more than half of these rows" in warned[1]


def test_rows_in_another_order_are_the_same_test_split(asked: Job) -> None:
    take_look(context(asked))
    split, back = asked.splits["test"], np.arange(29, -1, -1)
    turned = replace(
        split, inputs=(split.inputs[0][back],), targets=split.targets[back], slices=split.slices.iloc[back]
    )
    look = take_look(context(replace(asked, splits={**asked.splits, "test": turned}))).look
    assert (look.number, look.elsewhere) == (2, 0)


def test_a_few_rows_that_were_looked_at_before_are_told(asked: Job, warned: list[str]) -> None:
    take_look(context(asked))
    renewed = with_test_rows(asked, 1, kept=9)
    module.warn_of_worn_rows(renewed)
    told = "About 30 % of these rows were looked at as part of another test split; those looks do not count."
    assert warned == [told]
    look = take_look(context(renewed)).look
    assert look.number == 1 and told in look.sentence


def test_the_look_that_would_be_taken_next_is_told_without_taking_it(asked: Job) -> None:
    first = context(asked)
    assert next_look(first.job, first.key).number == 1
    take_look(first)
    assert next_look(first.job, first.job.question_key(first.device)).number == 1
    assert next_look(first.job, "another question").number == 2
    assert len(looks_of(asked)) == 1


def test_a_recipe_that_spends_nothing_counts_and_refuses_no_look(asked: Job) -> None:
    free = replace(asked, recipe=asked.recipe.model_copy(update={"alpha_spending": None}))
    looks = [take_look(context(free, version)).look for version in "1234"]
    assert [withheld(look) for look in looks] == [None] * 4
    assert looks[-1] == Look(number=4, taken=4, in_all=4, level=0.05, spent=0.2)
    assert looks[-1].sentence == "Look 4 of these gates at the test rows; no number of looks is set."
    assert verdict().at(looks[-1]).headline == "Pass: 1 of 1 gates hold."
    assert take_look(context(asked, "5")).look.is_withheld  # what was spent before a total was stated is spent


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
    assert take_look(context(with_test_rows(asked, 2), "3")).look.number == 1
