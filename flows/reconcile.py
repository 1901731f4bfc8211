"""Reconciliation of desired and actual: every registered version gets an answer."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow

from deployments.recipe import Recipe, read_recipe, shipped_recipes
from flows.compress import compress
from flows.exit_codes import as_edgewright
from flows.watch.process_label import say_who_works
from tasks.delivery import has_to_settle, settle_sign_offs, standing_answers, superseded
from tasks.errors import RegistryError, says_nothing
from tasks.outcomes import Outcome
from tasks.registry import UNDECIDED, Answers, EdgeModels, Runs, Upstream
from tasks.upstream import read_job
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
MOST_ATTEMPTS = 5
"""Runs after which a version that none of them could decide is no longer asked for by itself."""


@flow(name="reconcile")
def reconcile(recipes: Sequence[str] | None = None, workspace: Workspace | None = None) -> list[Outcome]:
    """Compress every version newer than the last answered one, and the newest again when recipe or toolchain changed.

    `recipes` are paths or names; all shipped ones when None. A recipe whose model nobody registered waits. Whatever
    goes wrong with one recipe or version is an outcome of its own and does not keep the others waiting.
    """
    say_who_works()
    workspace = workspace or Workspace.from_environment()
    paths = [Path(recipe) for recipe in recipes] if recipes is not None else shipped_recipes()
    return [outcome for path in paths for outcome in _of_recipe(path, workspace)]


def _of_recipe(path: Path, workspace: Workspace) -> Iterator[Outcome]:
    try:
        recipe = read_recipe(path)
        warn_of_lapsed(recipe, workspace)
        end_expired(recipe, workspace)
        versions = unanswered(path, recipe, workspace)
    except Exception as error:
        yield _ended(workspace, path.stem, "", path.stem, error)
        return
    for version in versions:
        logger.info("model %s version %s has no answer yet", recipe.model, version)
        try:
            yield compress(recipe.model, version, str(path), workspace)
        except Exception as error:
            yield _ended(workspace, recipe.model, version, recipe.name, error)


def _ended(workspace: Workspace, model: str, version: str, recipe: str, error: Exception) -> Outcome:
    """Return the outcome of a version that an error ended, or of a recipe that could not be read."""
    told = as_edgewright(error, workspace.home)
    logger.error("%s: %s", f"model {model} version {version}" if version else f"recipe {recipe}", told)
    answer = UNDECIDED if says_nothing(told) else "error"
    content = {"model": model, "version": version, "recipe": recipe, "recipe_digest": "", "run_id": ""}
    return Outcome.model_validate({**content, "answer": answer, "error": str(told)})


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


def end_expired(recipe: Recipe, workspace: Workspace) -> None:
    """Record that versions waited for sign-off for too long: no answer is no."""
    if recipe.sign_off is not None and has_to_settle(workspace, recipe.model):
        with workspace.scratch(), workspace.exclusive(recipe.model):
            settle_sign_offs(workspace, recipe.model)


def unanswered(path: Path, recipe: Recipe, workspace: Workspace) -> list[str]:
    """Return the versions to compress, oldest first; one older than an answered version is superseded and left out.

    A version that could not be decided five times is left for a person to ask again, as is one that a person went back
    from.
    """
    try:
        versions = Upstream(workspace.tracking_uri).versions(recipe.model)
    except RegistryError as error:
        logger.info("recipe %s waits: %s", recipe.name, error)
        return []
    runs = Runs(workspace.tracking_uri, recipe.model)
    runs.close_dead()  # a run that was killed after its last answer is not asked for again, and nobody else closes it
    newest_answered = max(Answers(runs).versions(), default=0)
    fresh = [version for version in versions if int(version) > newest_answered]
    asked = [version for version in fresh or versions[-1:] if not _taken_back(recipe, version, workspace)]
    return [version for version in asked if _wants_an_answer(path, recipe, version, workspace)]


def _taken_back(recipe: Recipe, version: str, workspace: Workspace) -> bool:
    """Tell whether a person went back from a version to an older one on a device: only a person asks for it again."""
    models = EdgeModels(workspace.tracking_uri, recipe.model)
    for device in recipe.devices:
        now = models.deployed(device.name)
        if now is None or int(now.source_version) >= int(version):
            continue
        if version in {release.source_version for release in models.releases(device.name)}:
            logger.info(
                "model %s version %s waits: version %s was taken back to on %s; register a newer version, or ask with "
                "edgewright compress", recipe.model, version, now.source_version, device.name,
            )  # fmt: skip
            return True
    return False


def _wants_an_answer(path: Path, recipe: Recipe, version: str, workspace: Workspace) -> bool:
    job = read_job(recipe.model, version, path, workspace)
    runs = Runs(workspace.tracking_uri, recipe.model)
    if Answers(runs).error(version, job.run_key, job.answer_key):
        return False
    known = standing_answers(job, runs)
    if len(superseded(job, known.asked)) == len(known.asked):
        return known.run != "" and not Answers(runs).is_recorded(known.run)
    attempts = Answers(runs).attempts_at(version, job.run_key, job.answer_key)
    if attempts >= MOST_ATTEMPTS:
        logger.warning(
            "model %s version %s: expected an answer, got none in %d attempts; see its runs for the causes, and ask "
            "again with edgewright compress %s %s --recipe %s",
            recipe.model, version, attempts, recipe.model, version, path,
        )  # fmt: skip
    return attempts < MOST_ATTEMPTS
