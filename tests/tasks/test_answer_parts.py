"""Parts of an answer's key: what changed is said in words, and only what somebody knows of today."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.answer_parts import changed_parts, recipe_parts
from tasks.job import Job
from tasks.workspace import Workspace
from tests.tasks import tiny


@pytest.fixture
def job(tmp_path: object) -> Job:
    return tiny.job(Workspace.at(tmp_path))  # type: ignore[arg-type]


def said(before: Job, now: Job) -> tuple[str, ...]:
    """Return what is said of the one device's change."""
    ((_, old),), ((_, new),) = before.keys.items(), now.keys.items()
    assert (old.key == new.key) is (not changed_parts(old.parts, new.parts))
    return changed_parts(old.parts, new.parts)


def test_nothing_is_said_where_nothing_changed(job: Job) -> None:
    assert said(job, replace(job)) == ()


def test_each_kind_of_change_has_its_sentence(job: Job) -> None:
    test = job.splits["test"]
    rows = {**job.splits, "test": replace(test, targets=np.roll(test.targets, 1))}
    assert said(job, replace(job, splits=rows)) == ("the rows of test changed",)
    heavier = job.recipe.model_copy(update={"critical_weight": 2.0, "ladder": job.recipe.ladder[:0]})
    assert said(job, replace(job, recipe=heavier)) == ("critical_weight and ladder of the recipe changed",)
    assert said(job, replace(job, identity="made anew")) == ("the registered model was made anew",)
    device = tiny.device(threads=3)
    on_three = job.recipe.model_copy(update={"devices": (device,)})
    assert said(job, replace(job, recipe=on_three)) == ("threads of the device profile changed",)


def test_libraries_are_named_with_both_versions() -> None:
    before = {"library/onnxruntime": "1.30.0", "library/torch": "2.12.0", "cpu": "a"}
    now = {"library/onnxruntime": "1.31.1", "library/torch": "2.13.0", "cpu": "b"}
    assert changed_parts(before, now) == (
        "onnxruntime 1.30.0 > 1.31.1 and torch 2.12.0 > 2.13.0", "another CPU answers: a > b",
    )  # fmt: skip


def test_what_nobody_knows_of_today_is_not_said() -> None:
    assert changed_parts({"rows/test": "a", "recipe/gates": "b"}, {"recipe/gates": "b"}) == ()


def test_a_key_that_a_recipe_no_longer_has_changed_too() -> None:
    assert changed_parts({"recipe/gates": "b", "recipe/search": "c"}, {"recipe/gates": "b"}) == (
        "search of the recipe changed",
    )


def test_when_a_recipe_runs_is_no_part_of_it() -> None:
    later = tiny.recipe(again_after_days=3.0, newer="supersede", layer_losses=False)
    assert recipe_parts(later) == recipe_parts(tiny.recipe())
