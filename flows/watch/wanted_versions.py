"""Wanted versions: those whose answer is missing or old, read off the registry and the recipe alone.

Nothing here imports a workload or loads a model. What changed in a workload, its data or the libraries is found by
`reconcile`, which reads them.
"""

from collections.abc import Iterator
from datetime import datetime

from deployments.recipe import FollowedAlias, Recipe
from flows.watch.wanted_runs import WantedRun
from tasks.registry import RegistryView, VersionAnswer

DAY_S = 86_400
NOT_RELEASED = ("refused", "error", "waiting")


def wanted_versions(path: str, recipe: Recipe, view: RegistryView, now: datetime) -> list[WantedRun]:
    """Return the runs that a recipe wants, the oldest version first; `path` is the recipe as a run is told it."""
    answers = view.answers.get(recipe.model, ())
    if isinstance(recipe.follow, FollowedAlias):
        return list(_named(path, recipe, recipe.follow.alias, view))
    versions = view.versions.get(recipe.model, ())
    newest = max((int(each.version) for each in answers), default=0)
    fresh = [version for version in versions if int(version) > newest]
    if fresh:
        asked = fresh[-1:] if recipe.newer == "supersede" else fresh
        return [_wanted(path, recipe, version, f"version {version} is new", "new") for version in asked]
    return [] if not versions else list(_again(path, recipe, versions[-1], view, now))


def _named(path: str, recipe: Recipe, alias: str, view: RegistryView) -> Iterator[WantedRun]:
    """Yield the version that an alias names unless it is what its devices have, or was refused under this recipe."""
    version = view.aliases.get(recipe.model, {}).get(alias)
    if version is None:
        return
    deployed = [view.deployed_on(recipe.model, device.name) for device in recipe.devices]
    is_everywhere = all(each is not None and each.source_version == version for each in deployed)
    own = _answer(recipe, version, view)
    if own is not None and (is_everywhere or own.answer in NOT_RELEASED):
        return
    release = max((each.release for each in deployed if each is not None), default=0)
    back = any(each is not None and int(each.source_version) > int(version) for each in deployed)
    cause = f"the alias {alias} names version {version}"
    yield _wanted(path, recipe, version, cause, f"{alias} after {release}", back=back)


def _again(path: str, recipe: Recipe, version: str, view: RegistryView, now: datetime) -> Iterator[WantedRun]:
    """Yield the newest version where recipe or device profiles changed since its answer, or where that is old.

    A version that a person went back from is left to persons.
    """
    own = _answer(recipe, version, view)
    if _was_left(recipe, version, view):
        return
    if own is None:
        yield _wanted(path, recipe, version, "the recipe or a device profile changed", f"recipe {recipe.digest}")
    elif recipe.again_after_days is not None:
        days = (now.timestamp() - own.ended / 1000) / DAY_S
        if days > recipe.again_after_days:
            cause = f"the answer to version {version} is {days:.0f} days old"
            yield _wanted(path, recipe, version, cause, f"after {own.run}", again=True)


def _was_left(recipe: Recipe, version: str, view: RegistryView) -> bool:
    """Tell whether an older version than one that was released is deployed on a device."""
    for device in recipe.devices:
        deployed = view.deployed_on(recipe.model, device.name)
        older = deployed is not None and int(deployed.source_version) < int(version)
        if older and view.was_released(recipe.model, device.name, version):
            return True
    return False


def _answer(recipe: Recipe, version: str, view: RegistryView) -> VersionAnswer | None:
    """Return the newest answer to a version under exactly this recipe."""
    answers = reversed(view.answers.get(recipe.model, ()))
    return next((each for each in answers if (each.version, each.recipe_digest) == (version, recipe.digest)), None)


def _wanted(
    path: str, recipe: Recipe, version: str, cause: str, mark: str, *, again: bool = False, back: bool = False
) -> WantedRun:
    return WantedRun(recipe.model, version, path, cause, mark, again, back)
