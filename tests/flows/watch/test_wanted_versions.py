"""What a recipe wants, read off the registry: new versions, what an alias names, changed recipes, old answers."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments.recipe import Recipe
from flows.watch.wanted_versions import wanted_versions
from tasks.registry import DeployedRelease, RegistryView, VersionAnswer
from tests.tasks.tiny import recipe as tiny_recipe

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture
def recipe() -> Recipe:
    """A recipe for one device."""
    return tiny_recipe()


def view(
    recipe: Recipe,
    versions: str = "123",
    answers: Mapping[str, str] | None = None,
    digest: str | None = None,
    days: float = 0,
    **changed: Any,
) -> RegistryView:
    """A registry with so many versions; `answers` are by version, from so many days ago."""
    ended = int(1000 * (NOW - timedelta(days=days)).timestamp())
    known = tuple(
        VersionAnswer(version, answer, digest or recipe.digest, f"run {version}", ended)
        for version, answer in (answers or {}).items()
    )
    aliases = {recipe.model: changed.pop("aliases", {})}
    release, source = changed.pop("deployed", (0, ""))
    edge = f"{recipe.model}-{recipe.devices[0].name}"
    deployed = {edge: DeployedRelease(release, source)} if release else {}
    released = {edge: frozenset(changed.pop("released", source))}
    return RegistryView({recipe.model: tuple(versions)}, aliases, {recipe.model: known}, deployed, released)


def asked(recipe: Recipe, seen: RegistryView) -> list[str]:
    """Return the versions that are wanted."""
    return [each.version for each in wanted_versions("tiny", recipe, seen, NOW)]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, ["1", "2", "3"]),
        ({"1": "published"}, ["2", "3"]),
        ({"2": "refused"}, ["3"]),
        ({"3": "error"}, []),
        ({"1": "published", "2": "refused", "3": "published"}, []),
    ],
)
def test_versions_after_the_last_answered_one_are_wanted(
    recipe: Recipe, answers: dict[str, str], expected: list[str]
) -> None:
    assert asked(recipe, view(recipe, answers=answers)) == expected


def test_the_newest_alone_where_it_supersedes(recipe: Recipe) -> None:
    recipe = recipe.model_copy(update={"newer": "supersede"})
    assert asked(recipe, view(recipe, answers={"1": "published"})) == ["3"]


def test_nobody_registered_it(recipe: Recipe) -> None:
    assert asked(recipe, view(recipe, versions="")) == []


def test_the_newest_is_wanted_once_more_where_the_recipe_changed(recipe: Recipe) -> None:
    seen = view(recipe, answers={"2": "published", "3": "refused"}, digest="before")
    (wanted,) = wanted_versions("tiny", recipe, seen, NOW)
    assert (wanted.version, wanted.cause) == ("3", "the recipe or a device profile changed")
    other = recipe.model_copy(update={"critical_weight": 3.0})
    (changed,) = wanted_versions("tiny", other, seen, NOW)
    assert changed.key != wanted.key


def test_what_a_person_went_back_from_is_left_to_persons(recipe: Recipe) -> None:
    left: dict[str, Any] = {"answers": {"1": "published", "3": "published"}, "digest": "before", "deployed": (3, "1")}
    assert asked(recipe, view(recipe, released={"1", "3"}, **left)) == []
    assert asked(recipe, view(recipe, released={"1"}, **left)) == ["3"]  # it was refused, not left


@pytest.mark.parametrize(("days", "expected"), [(29.0, []), (31.0, ["3"])])
def test_an_old_answer_is_asked_for_again(recipe: Recipe, days: float, expected: list[str]) -> None:
    recipe = recipe.model_copy(update={"again_after_days": 30.0})
    seen = view(recipe, answers={"3": "published"}, days=days)
    found = wanted_versions("tiny", recipe, seen, NOW)
    assert [each.version for each in found] == expected
    assert all(each.again and each.cause == "the answer to version 3 is 31 days old" for each in found)


@pytest.mark.parametrize(
    ("alias", "answers", "deployed", "expected", "back"),
    [
        ({}, {}, (0, ""), [], False),
        ({"other": "2"}, {}, (0, ""), [], False),
        ({"champion": "2"}, {}, (0, ""), ["2"], False),
        ({"champion": "2"}, {"1": "published"}, (1, "1"), ["2"], False),
        ({"champion": "2"}, {"2": "published"}, (1, "2"), [], False),
        ({"champion": "2"}, {"2": "refused"}, (1, "1"), [], False),
        ({"champion": "2"}, {"2": "waiting"}, (1, "1"), [], False),
        ({"champion": "1"}, {"1": "waiting", "2": "published"}, (2, "2"), [], False),
        ({"champion": "1"}, {"1": "published", "2": "published"}, (2, "2"), ["1"], True),
        ({"champion": "1"}, {"2": "published"}, (2, "2"), ["1"], True),
        ({"champion": "3"}, {"2": "published", "3": "error"}, (2, "2"), [], False),
    ],
)
def test_an_alias_names_what_is_wanted_and_back_is_a_release_of_its_own(
    recipe: Recipe, alias: dict[str, str], answers: dict[str, str], deployed: tuple[int, str], expected: list[str],
    back: bool,
) -> None:  # fmt: skip
    recipe = Recipe.model_validate({**dict(recipe), "follow": {"alias": "champion"}})
    found = wanted_versions("tiny", recipe, view(recipe, answers=answers, aliases=alias, deployed=deployed), NOW)
    assert [each.version for each in found] == expected
    assert all(each.back is back for each in found)


def test_an_alias_that_goes_to_and_fro_wants_a_run_each_time(recipe: Recipe) -> None:
    recipe = Recipe.model_validate({**dict(recipe), "follow": {"alias": "champion"}})
    keys = [
        wanted_versions(
            "tiny",
            recipe,
            view(recipe, answers={"1": "published", "2": "published"}, aliases={"champion": to}, deployed=deployed),
            NOW,
        )[0].key
        for to, deployed in (("1", (2, "2")), ("2", (3, "1")), ("1", (4, "2")))
    ]
    assert len(set(keys)) == 3
