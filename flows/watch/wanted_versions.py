"""Wanted versions: those whose answer is missing or old, read off the registry and the recipe alone.

Nothing here imports a workload or loads a model. What changed in a workload, its data or the libraries is found by
`reconcile`, which reads them.
"""

from collections.abc import Iterator
from datetime import datetime

from deployments.recipe import FollowedAlias, Recipe
from flows.watch.wanted_runs import WantedRun
from tasks.registry import DeployedRelease, RegistryView, VersionAnswer

DAY_S = 86_400
NOT_RELEASED = ("refused", "error")


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
    deployed = [view.deployed_on(recipe.model, name) for name in _free(recipe, version, view)]
    is_everywhere = all(each is not None and each.source_version == version for each in deployed)
    own = _answer(recipe, version, view)
    if not deployed or (own is not None and (is_everywhere or own.answer in NOT_RELEASED)):
        return
    release = max((each.release for each in deployed if each is not None), default=0)
    back = any(each is not None and int(each.source_version) > int(version) for each in deployed)
    cause = f"the alias {alias} names version {version}"
    yield _wanted(path, recipe, version, cause, f"{alias} after {release}", back=back)


def _again(path: str, recipe: Recipe, version: str, view: RegistryView, now: datetime) -> Iterator[WantedRun]:
    """Yield the newest version where recipe or device profiles changed since its answer, or where that is old.

    A version that a person went back from is left to persons, and so is one that is held on every device.
    """
    own, free, older = _answer(recipe, version, view), _free(recipe, version, view), _older(recipe, version, view)
    if not free or any(not deployed.by_rollback for deployed in older):
        return
    if own is None:
        yield _wanted(path, recipe, version, "the recipe or a device profile changed", f"recipe {recipe.digest}")
    elif older and own.answer not in NOT_RELEASED:
        cause, release = f"version {version} is held no more", max(deployed.release for deployed in older)
        yield _wanted(path, recipe, version, cause, f"lifted after {release}")
    elif recipe.again_after_days is not None:
        days = (now.timestamp() - own.ended / 1000) / DAY_S
        if days > recipe.again_after_days:
            cause = f"the answer to version {version} is {days:.0f} days old"
            yield _wanted(path, recipe, version, cause, f"after {own.run}", again=True)


def _free(recipe: Recipe, version: str, view: RegistryView) -> list[str]:
    """Return the devices of a recipe on which a version is not held back."""
    names = (device.name for device in recipe.devices)
    return [name for name in names if version not in view.held_on(recipe.model, name)]


def _older(recipe: Recipe, version: str, view: RegistryView) -> list[DeployedRelease]:
    """Return what is deployed on the free devices that had a version and have an older one now."""
    had = [name for name in _free(recipe, version, view) if view.was_released(recipe.model, name, version)]
    deployed = (view.deployed_on(recipe.model, name) for name in had)
    return [each for each in deployed if each is not None and int(each.source_version) < int(version)]


def _answer(recipe: Recipe, version: str, view: RegistryView) -> VersionAnswer | None:
    """Return the newest answer to a version under exactly this recipe."""
    answers = reversed(view.answers.get(recipe.model, ()))
    return next((each for each in answers if (each.version, each.recipe_digest) == (version, recipe.digest)), None)


def _wanted(
    path: str, recipe: Recipe, version: str, cause: str, mark: str, *, again: bool = False, back: bool = False
) -> WantedRun:
    return WantedRun(recipe.model, version, path, cause, mark, again, back)
