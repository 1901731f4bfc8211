"""The parents of both sides: one backbone with four heads, trained once, and registered where they are compressed."""

import os
from collections.abc import Sequence
from functools import cache
from typing import cast
from unittest.mock import patch

from torch import nn

from deployments.recipe import FamilyRecipe, read_recipe
from deployments.workload import Workload
from flows.demo.example_networks import SharedBackboneNetwork
from flows.demo.examples import trained
from flows.demo.family import example
from tasks.registry import register_upstream
from tasks.workspace import Workspace
from tests.benchmarks.family.kept_compressions import PASSPHRASES, Prepare
from tests.benchmarks.family.member_recipes import SHIPPED
from tests.benchmarks.trajectory.cache import STORE, console
from tests.tasks.delivery.devices import begin


@cache
def family_recipe() -> FamilyRecipe:
    """Return the shipped recipe."""
    return cast(FamilyRecipe, read_recipe(SHIPPED))


@cache
def network() -> SharedBackboneNetwork:
    """Return the trained backbone with all heads; it is trained once."""
    return cast(SharedBackboneNetwork, trained(example(), family_recipe().load_workload(), STORE, console))


def models() -> dict[str, nn.Module]:
    """Return the model of each member by its name, in evaluation mode."""
    names = [member.name for member in family_recipe().members]
    return {name: model.eval() for name, model in zip(names, network().models(), strict=True)}


@cache
def workloads() -> dict[str, Workload]:
    """Return the workload of each member by its name."""
    recipe = family_recipe()
    return {each.name: one for each, one in zip(recipe.members, recipe.load_workload().of_models, strict=True)}


def preparing(device: str, names: Sequence[str]) -> Prepare:
    """Return what begins a signed repository for a device and registers the named members."""

    def prepare(workspace: Workspace) -> None:
        with patch.dict(os.environ, PASSPHRASES):
            begin(workspace, (device,))
        for name in names:
            register_member(workspace, name, models()[name])

    return prepare


def register_member(workspace: Workspace, name: str, model: nn.Module) -> str:
    """Register a model as the next version of a member; return the version."""
    (member,) = (each for each in family_recipe().members if each.name == name)
    rows = tuple(array[:2] for array in workloads()[name].split("train").inputs)
    return register_upstream(workspace.tracking_uri, member.model, model, rows, {})
