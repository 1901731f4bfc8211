"""Recipes of both sides, made of the family's shipped one, so that their settings cannot drift apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deployments.recipe import Recipe, read_recipe
from flows.demo.family import RECIPE
from tests.benchmarks.record import ROOT

SHIPPED = ROOT / "deployments" / "recipes" / f"{RECIPE}.yaml"
OF_A_FAMILY = frozenset({"members", "backbone"})
"""Keys that the recipe of one model has not."""


@dataclass(frozen=True)
class WrittenRecipes:
    """The recipe of the family and, by the name of each member, the recipe of its model alone; for one device."""

    family: Path
    members: Mapping[str, Path]
    device: str


def hardest_device(recipe: Recipe) -> str:
    """Return the name of the device with the smallest budget of size."""
    return min(recipe.devices, key=lambda device: device.budgets.size_bytes).name


def recipe_alone(family: Mapping[str, Any], member: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe of a member's model alone: all that the family's says of all, and what is the member's own."""
    shared = {key: value for key, value in family.items() if key not in OF_A_FAMILY}
    own = {"name": member["model"], "model": member["model"], "workload": member["workload"]}
    return shared | own | {"gates": [*member["gates"], *family.get("gates", [])]}


def write_recipes(folder: Path, source: Path = SHIPPED) -> WrittenRecipes:
    """Write the recipe of a family and those of its members for its hardest device."""
    folder.mkdir(parents=True, exist_ok=True)
    device = hardest_device(read_recipe(source))
    family = yaml.safe_load(source.read_text()) | {"devices": [device], "layer_losses": False}
    alone = {member["name"]: _written(folder, recipe_alone(family, member)) for member in family["members"]}
    return WrittenRecipes(_written(folder, family), alone, device)


def _written(folder: Path, content: Mapping[str, Any]) -> Path:
    path = folder / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    return path
