"""Files of recipes: read one by its path or by the name of a shipped one, with the device profiles that it names."""

import json
import os
from pathlib import Path

from deployments.device import DeviceProfile, read_device
from deployments.errors import ConfigurationError
from deployments.recipe.family_recipe import FamilyRecipe
from deployments.recipe.model_recipe import FollowedAlias, Recipe
from deployments.yaml_file import read_mapping, validated

NAMED = "EDGEWRIGHT_RECIPES"
"""Paths or names of recipes, with colons between them."""
RECIPES = Path(__file__).parents[1] / "recipes"


def read_recipe(path: Path) -> Recipe:
    """Read a recipe by its path or by the name of a shipped one, with the device profiles that it names.

    Profiles are looked for in `devices/` beside the recipe's folder, then among the shipped ones. The path of a
    profile is relative to the recipe's folder.

    Raises:
        ConfigurationError: a file is missing or not valid.
    """
    path = _found(path)
    content = read_mapping(path)
    names = content.get("devices")
    if isinstance(names, list):
        content = content | {"devices": [_device(path, index, name) for index, name in enumerate(names)]}
    return validated(path, content, FamilyRecipe if "members" in content else Recipe)


def recorded_recipe(text: str) -> Recipe:
    """Read a recipe from JSON that a run has kept of it. Raises pydantic's ValidationError for another form."""
    try:
        content = json.loads(text)
    except ValueError:
        content = {}
    kind = FamilyRecipe if isinstance(content, dict) and content.get("members") else Recipe
    return kind.model_validate_json(text)


class RecipeNames:
    """The names of recipes that are read together: answers are kept by model and name.

    A device has one alias to follow: two would replace each other's release for ever.
    """

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()
        self._followers: dict[tuple[str, str], str] = {}

    def add(self, recipe: Recipe) -> None:
        """Add a recipe. Raises ConfigurationError where another one of its model has its name, or follows one too."""
        if (recipe.model, recipe.name) in self._known:
            raise ConfigurationError(
                f"key `name`: expected a name that no other recipe of {recipe.model} has, got {recipe.name} twice; "
                "answers are kept by it: rename one"
            )
        if isinstance(recipe.follow, FollowedAlias):
            places = [(recipe.model, device.name) for device in recipe.devices]
            for place in filter(self._followers.__contains__, places):
                raise ConfigurationError(
                    f"key `follow`: expected one recipe that follows an alias of {recipe.model} on the device "
                    f"{place[1]}, got {self._followers[place]} and {recipe.name}; give them different devices"
                )
            self._followers |= dict.fromkeys(places, recipe.name)
        self._known.add((recipe.model, recipe.name))


def named_recipes() -> list[Path]:
    """Return the recipes that EDGEWRIGHT_RECIPES names, or else the names of those that come with Edgewright.

    A run is told a recipe in this form, so whoever asks for one wants the same run.
    """
    given = [Path(each) for each in os.environ.get(NAMED, "").split(os.pathsep) if each]
    return given or [Path(path.stem) for path in shipped_recipes()]


def shipped_recipes() -> list[Path]:
    """Return the recipe files that come with Edgewright."""
    return sorted(RECIPES.glob("*.yaml"))


def _found(path: Path) -> Path:
    candidates = (path, RECIPES / f"{path}.yaml")
    for holds in (os.path.isfile, os.path.exists):  # unlike pathlib's, they take every path that a person can write
        for candidate in candidates:
            if holds(candidate):
                return candidate
    shipped = ", ".join(recipe.stem for recipe in shipped_recipes())
    raise ConfigurationError(
        f"{path}: expected the path of a recipe or the name of a shipped one ({shipped}), got no such file; "
        "check the path"
    )


def _device(path: Path, index: int, name: object) -> DeviceProfile:
    if not isinstance(name, str):
        raise ConfigurationError(
            f"{path}: key `devices.{index}`: expected the name of a device profile, got {name!r}; "
            "write the profile into a file of its own"
        )
    folder = path.resolve().parent
    name = str(folder / name) if name.endswith((".yaml", ".yml")) else name
    try:
        return read_device(name, folder.parent / "devices")
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: key `devices.{index}`: {error}") from error
