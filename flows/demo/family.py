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


def main() -> None:
    """Train and register the members in the home that the environment names."""
    from tasks.workspace import Workspace

    console = Console()
    for model, version in register_members(example(), Workspace.from_environment(), console).items():
        console.print(f"{model}: version {version}")


if __name__ == "__main__":
    prepare(HOME)
    try:
        main()
    except Exception as error:
        code, sentence = ending_of(error, HOME)
        Console(stderr=True).print(f"error: {sentence}", markup=False, soft_wrap=True)
        sys.exit(code)
