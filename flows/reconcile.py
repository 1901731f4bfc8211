"""Reconciliation of desired and actual: every registered version gets an answer."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow

from deployments.recipe import Recipe, named_recipes
from flows.compress import compress
from flows.deployed import Apart, Places, Recipes
from flows.exit_codes import as_edgewright
from flows.plan import Plan, make_plan
from flows.watch import say_who_works, start_runs
from tasks.errors import says_nothing
from tasks.outcomes import Outcome
from tasks.planning import WantedRun
from tasks.registry import UNDECIDED, RegistryView, Runs
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")


@flow(name="reconcile")
def reconcile(recipes: Recipes = None, workspace: Places = None, apart: Apart = False) -> list[Outcome]:
    """Do what `edgewright plan` prints: compress every version that wants an answer, and say why.

    `recipes` are paths or names; those of EDGEWRIGHT_RECIPES, or all shipped ones, when None. A recipe whose model
    nobody registered waits. Whatever goes wrong with one recipe or version is an outcome of its own and does not keep
    the others waiting. With `apart`, each run is started on the work pool instead, once, and the outcomes are those of
    recipes that could not be read.
    """
    workspace = workspace or Workspace.from_environment()
    say_who_works(workspace.home)
    paths = [Path(recipe) for recipe in recipes] if recipes is not None else named_recipes()
    plan = make_plan(paths, workspace)
    _tell(plan)
    close_dead(plan, workspace)
    ended = [ended_by(workspace, Path(each.path).stem, "", Path(each.path).stem, each.error) for each in plan.errors]
    if apart:
        start_runs(plan.wanted)
        return ended
    return [*ended, *(outcome for each in plan.recipes for outcome in _compressed(each.recipe, each.wanted, workspace))]


def _compressed(recipe: Recipe, wanted: Sequence[WantedRun], workspace: Workspace) -> Iterator[Outcome]:
    for run in wanted:
        logger.info("model %s version %s wants an answer: %s", run.model, run.version, run.cause)
        try:
            yield compress(
                run.model, run.version, run.recipe, workspace, again=run.again, back=run.back, cause=run.cause
            )
        except Exception as error:
            yield ended_by(workspace, run.model, run.version, recipe.name, error)


def ended_by(workspace: Workspace, model: str, version: str, recipe: str, error: Exception) -> Outcome:
    """Return the outcome of a version that an error ended, or of a recipe that could not be read."""
    told = as_edgewright(error, workspace.home)
    logger.error("%s: %s", f"model {model} version {version}" if version else f"recipe {recipe}", told)
    answer = UNDECIDED if says_nothing(told) else "error"
    content = {"model": model, "version": version, "recipe": recipe, "recipe_digest": "", "run_id": ""}
    return Outcome.model_validate({**content, "answer": answer, "error": str(told)})


def close_dead(plan: Plan, workspace: Workspace) -> None:
    """Close the runs that killed processes left: one that was killed after its last answer is not asked for again."""
    for model in dict.fromkeys(each.recipe.model for each in plan.recipes):
        if model in plan.view.versions:
            Runs(workspace.tracking_uri, model).close_dead()


def _tell(plan: Plan) -> None:
    """Say what waits for a person, and which models still run on an approval that has ended."""
    for each in plan.recipes:
        for sentence in each.waits:
            logger.info("recipe %s waits: %s", each.recipe.name, sentence)
        for sentence in each.needs_a_person:
            logger.warning("model %s %s", each.recipe.model, sentence)
        warn_of_lapsed(each.recipe, plan.view)


def warn_of_lapsed(recipe: Recipe, view: RegistryView) -> None:
    """Warn of models that still run on an approval that has ended; they stay, as the device has nothing better."""
    today = str(datetime.now(UTC).date())
    for device in recipe.devices:
        edge = view.deployed_on(recipe.model, device.name)
        if edge is not None and edge.approved_until is not None and edge.approved_until < today:
            logger.warning(
                "%s: version %s of %s was published against its gates, on an approval that ended with %s; approve it "
                "again, or publish a version that passes",
                device.name, edge.source_version, recipe.model, edge.approved_until,
            )  # fmt: skip
