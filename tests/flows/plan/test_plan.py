"""The plan on a real registry: what it prints is what reconcile does, and after that there is nothing to do."""

from pathlib import Path
from typing import Any

import pytest

import flows.compress
import flows.reconcile
from flows.plan import Plan, make_plan, plan_lines
from tasks import job
from tasks.registry import Runs
from tasks.store import libraries
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.variants import Variant, take_off_decorators, write_variant
from tests.tasks.registry.versions import add_version


@pytest.fixture
def variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Variant:
    """Write the tiny recipe with some keys changed; flows run as plain functions."""
    take_off_decorators(monkeypatch)
    return lambda name, changes=None, device=None: write_variant(tmp_path, name, changes, device)


@pytest.fixture
def own(tmp_path: Path) -> Workspace:
    """A registry of the test's own with one version."""
    workspace = Workspace.at(tmp_path / "home")
    upstream.register(workspace.tracking_uri)
    return workspace


def plan(workspace: Workspace, *recipes: str) -> Plan:
    return make_plan([Path(recipe) for recipe in recipes], workspace)


def causes(workspace: Workspace, *recipes: str) -> list[str]:
    """Return the reasons of the runs that are wanted."""
    return [run.cause for run in plan(workspace, *recipes).wanted]


def lines(workspace: Workspace, *recipes: str, every: bool = False) -> list[str]:
    return list(plan_lines(plan(workspace, *recipes), workspace, every))


def reconcile(workspace: Workspace, *recipes: str) -> list[Any]:
    return list(flows.reconcile.reconcile(list(recipes), workspace))


def test_reconcile_does_what_the_plan_says_and_tells_why(
    own: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = variant("planned")
    assert lines(own, recipe) == [
        f"recipe {recipe}, model tiny",
        "  + version 1 on all devices: version 1 is new",
        "Plan: 1 run on 1 device, 0 answers stand. edgewright reconcile does it, or the services by themselves.",
    ]
    (outcome,) = reconcile(own, recipe)
    assert outcome.answer == "published"
    assert Runs(own.tracking_uri, "tiny").tags(outcome.run_id)["edgewright.started_by"].endswith("version 1 is new")
    assert lines(own, recipe) == ["Plan: 0 runs on 0 devices, 1 answers stand. Nothing to do."]
    assert "  = planned: published as release 1" in lines(own, recipe, every=True)

    before = libraries()
    monkeypatch.setattr(job, "libraries", lambda: before | {"onnxruntime": "9.9"})
    assert causes(own, recipe) == [f"onnxruntime {before['onnxruntime']} > 9.9"]
    (again,) = reconcile(own, recipe)
    assert (again.answer, again.reused, causes(own, recipe)) == ("published", False, [])


def test_the_answer_of_a_killed_run_is_completed(
    own: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = variant("killed")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(flows.compress, "record_outcome", killed)
        reconcile(own, recipe)
    assert causes(own, recipe) == ["version 1 is new"]
    (outcome,) = reconcile(own, recipe)
    assert outcome.reused and outcome.answer == "published"
    assert causes(own, recipe) == []


def test_a_recipe_that_is_wrong_keeps_no_other_waiting(own: Workspace, variant: Variant, tmp_path: Path) -> None:
    broken, good = tmp_path / "broken.yaml", variant("good")
    broken.write_text("name: [")
    said = lines(own, str(broken), good)
    assert any(line.startswith("  x ") and "broken.yaml" in line for line in said)
    assert said[-1].startswith("Plan: 1 run on 1 device, 0 answers stand, 1 recipe with errors.")


def test_a_plan_changes_nothing(own: Workspace, variant: Variant) -> None:
    before = sorted(path for path in own.home.rglob("*"))
    assert causes(own, variant("looked-at"))
    assert sorted(path for path in own.home.rglob("*")) == before


def test_a_newer_version_is_all_that_is_wanted_of_two(own: Workspace, variant: Variant) -> None:
    recipe = variant("newest", {"newer": "supersede"})
    add_version(own.tracking_uri, "tiny")
    assert [run.version for run in plan(own, recipe).wanted] == ["2"]


def test_two_recipes_of_one_name_are_not_planned_together(own: Workspace, variant: Variant) -> None:
    recipe = Path(variant("twice"))
    copied = recipe.with_name("again.yaml")
    copied.write_text(recipe.read_text())
    said = lines(own, str(recipe), str(copied))
    assert any("expected a name that no other recipe of tiny has, got twice twice" in line for line in said)
    assert "1 recipe with errors" in said[-1]
