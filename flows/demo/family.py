"""The shipped family: four models on one backbone, trained together and registered as four upstream models."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import Console

from flows.demo.examples import Example, trained
from flows.environment import HOME, prepare
from flows.exit_codes import ending_of

if TYPE_CHECKING:  # mlflow reads the environment, which prepare() sets, when it is imported
    from tasks.workspace import Workspace

RECIPE = "fashion-family"
EPOCHS = 10
SHOWN = 3  # rows


def example() -> Example:
    """Return the upstream training of all members at once."""
    from flows.demo.example_networks import fashion_family

    return Example(RECIPE, fashion_family, EPOCHS, 4e-3)


def register_members(of: Example, workspace: "Workspace", console: Console) -> dict[str, str]:
    """Return the last version of each member's model; train and register those that the registry has none of.

    The heads are trained together on one backbone. Each is registered with a backbone of its own, as a whole program:
    what the models share is found in their weights.
    """
    from deployments.recipe import read_recipe
    from flows.demo.example_networks import SharedBackboneNetwork
    from tasks.errors import RegistryError
    from tasks.registry import Upstream, register_upstream

    recipe = read_recipe(Path(of.recipe))
    upstream, found = Upstream(workspace.tracking_uri), {}
    for member in recipe.members:
        try:
            found[member.model] = upstream.versions(member.model)[-1]
        except RegistryError:
            console.print(f"{member.model} is not registered")
    if len(found) == len(recipe.members):
        return found
    workload = recipe.load_workload()
    network = cast(SharedBackboneNetwork, trained(of, workload, workspace.store, console))
    rows = tuple(array[:2] for array in workload.split("train").inputs)
    for member, model in zip(recipe.members, network.models(), strict=True):
        if member.model not in found:
            params = {"epochs": of.epochs, "trained with": of.recipe}
            found[member.model] = register_upstream(workspace.tracking_uri, member.model, model.eval(), rows, params)
    return found


def answer(workspace: "Workspace", console: Console) -> None:
    """Let the newest published bundle of each device answer a few test rows, and show what they truly are.

    Raises ConfigurationError where no bundle is published.
    """
    import numpy as np

    from deployments.errors import ConfigurationError
    from deployments.recipe import read_recipe
    from edge_runtime.bundle import read_bundle
    from edge_runtime.predicting import predict

    recipe = read_recipe(Path(RECIPE))
    test = [each.split("test") for each in recipe.load_workload().of_models]
    rows = workspace.home / "rows.npy"
    np.save(rows, test[0].inputs[0][:SHOWN])
    for device in recipe.devices:
        found = sorted(workspace.target.glob(f"targets/{recipe.model}/{device.name}/*.manifest.json"), key=_made)
        if not found:
            raise ConfigurationError(
                f"{workspace.target}: expected a published bundle of {recipe.model} for {device.name}, got none; read "
                "the report of its gates"
            )
        console.print(f"{device.name}: {found[-1]}", soft_wrap=True)
        predict(read_bundle(found[-1]), rows, None)
    for member, split in zip(recipe.members, test, strict=True):
        console.print(f"truly {member.name}: {', '.join(map(str, split.targets[:SHOWN].tolist()))}")


def _made(path: Path) -> float:
    return path.stat().st_mtime


def main(what: str) -> None:
    """Register the members, or let the published bundles answer, in the home that the environment names."""
    from tasks.workspace import Workspace

    console, workspace = Console(), Workspace.from_environment()
    if what == "answer":
        answer(workspace, console)
        return
    for model, version in register_members(example(), workspace, console).items():
        console.print(f"{model}: version {version}")


if __name__ == "__main__":
    prepare(HOME)
    try:
        main(sys.argv[1])
    except Exception as error:
        code, sentence = ending_of(error, HOME)
        Console(stderr=True).print(f"error: {sentence}", markup=False, soft_wrap=True)
        sys.exit(code)
