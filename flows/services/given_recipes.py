"""Recipes that services are given: read before anything starts, so that a wrong one is told to who typed it."""

from collections.abc import Sequence
from pathlib import Path

from deployments.recipe import RecipeNames, read_recipe


def checked_recipes(given: Sequence[str]) -> tuple[str, ...]:
    """Return recipes as the services are told them: absolute paths, and the names of shipped ones as they are.

    Raises ConfigurationError for one that is missing or wrong, and for two of one name.
    """
    names = RecipeNames()
    for recipe in given:
        names.add(read_recipe(Path(recipe)))
    return tuple(str(Path(recipe).resolve()) if Path(recipe).is_file() else recipe for recipe in given)
