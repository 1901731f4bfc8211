"""Reconciliation of desired and actual: every registered version gets an answer."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow

from deployments.recipe import Recipe, read_recipe, shipped_recipes
from deployments.workload import load_workload
from edge_runtime.errors import EdgewrightError
from flows.compress import compress
from tasks.errors import RegistryError
from tasks.job import run_key
from tasks.registry import EdgeModels, Runs, Upstream
from tasks.reporting import Outcome
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")


@flow(name="reconcile")
def reconcile(recipes: Sequence[str] | None = None, workspace: Workspace | None = None) -> list[Outcome]:
    """Compress every version newer than the last answered one, and the newest again when recipe or toolchain changed.

    `recipes` are paths or names; all shipped ones when None. A recipe whose model nobody registered waits. An error in
    one version is recorded as its answer and does not keep the others waiting.
    """
    workspace = workspace or Workspace.from_environment()
    paths = [Path(recipe) for recipe in recipes] if recipes is not None else shipped_recipes()
    outcomes = []
    for path in paths:
        recipe = read_recipe(path)
        warn_of_lapsed(recipe, workspace)
        for version in unanswered(recipe, workspace):
            logger.info("model %s version %s has no answer yet", recipe.model, version)
            try:
                outcomes.append(compress(recipe.model, version, str(path), workspace))
            except EdgewrightError as error:
                logger.error("model %s version %s: %s", recipe.model, version, error)
    return outcomes


def warn_of_lapsed(recipe: Recipe, workspace: Workspace) -> None:
    """Warn of models that still run on an approval that has ended; they stay, as the device has nothing better."""
    models, today = EdgeModels(workspace.tracking_uri, recipe.model), str(datetime.now(UTC).date())
    for device in recipe.devices:
        edge = models.deployed(device.name)
        if edge is not None and edge.approved_until is not None and edge.approved_until < today:
            logger.warning(
                "%s: version %s of %s was published against its gates, on an approval that ended with %s; approve it "
                "again, or publish a version that passes",
                device.name, edge.source_version, recipe.model, edge.approved_until,
            )  # fmt: skip


def unanswered(recipe: Recipe, workspace: Workspace) -> list[str]:
    """Return the versions to compress, oldest first; one older than an answered version is superseded and left out."""
    try:
        versions = Upstream(workspace.tracking_uri).versions(recipe.model)
    except RegistryError as error:
        logger.info("recipe %s waits: %s", recipe.name, error)
        return []
    runs = Runs(workspace.tracking_uri, recipe.model)
    newest_answered = max(runs.answered_versions(), default=0)
    fresh = [version for version in versions if int(version) > newest_answered]
    if fresh or not versions:
        return fresh
    key = run_key(recipe.model, versions[-1], recipe, load_workload(recipe.workload), workspace.home)
    return [] if runs.find_answer(versions[-1], key) else [versions[-1]]
