"""The plan: one look at the registry, then what each recipe wants of it and why."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deployments.recipe import RecipeNames, read_recipe
from flows.plan.read_workloads import ReadWorkloads
from tasks.planning import RecipePlan, WantedRun, plan_recipe
from tasks.registry import RegistryView
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class RecipeError:
    """A recipe that cannot be planned, and why."""

    path: str
    error: Exception


@dataclass(frozen=True)
class Plan:
    """The plans of recipes, in their order, and the recipes that could not be planned."""

    recipes: tuple[RecipePlan, ...]
    errors: tuple[RecipeError, ...]
    view: RegistryView

    @property
    def wanted(self) -> list[WantedRun]:
        """The runs that are wanted, of all recipes."""
        return [run for each in self.recipes for run in each.wanted]


def make_plan(paths: Sequence[Path], workspace: Workspace) -> Plan:
    """Make the plan of recipes. Raises RegistryUnavailable; what is wrong with one recipe is an error of its own."""
    view, now = RegistryView.read(workspace.tracking_uri), datetime.now(UTC)
    read = ReadWorkloads(view, workspace)
    recipes, errors, names = [], [], RecipeNames()
    for path in paths:
        try:
            recipe = read_recipe(path)
            names.add(recipe)
            recipes.append(plan_recipe(str(path), recipe, view, now, read.of(recipe)))
        except Exception as error:  # of a workload, which is code of the user's
            errors.append(RecipeError(str(path), error))
    return Plan(tuple(recipes), tuple(errors), view)
