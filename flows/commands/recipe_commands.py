"""Commands about recipes and their gates: `edgewright recipes check` and `edgewright gates plan`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deployments.errors import ConfigurationError
from flows.environment import HOME, prepare, tell_loading

recipes = typer.Typer(help="Look at recipes.", no_args_is_help=True)
gates = typer.Typer(help="Look at gates.", no_args_is_help=True)
console = Console()


@recipes.command("check")
def check_recipe(
    file: Annotated[Path, typer.Argument(help="Path of a recipe, or the name of a shipped one.")],
) -> None:
    """Check a recipe, its device profiles, its workload and its slices, without training anything.

    Where the model is registered, the workload's `loss`, `score` and `predictions` are tried on a batch of its answers.
    """
    prepare(HOME)
    tell_loading(console)
    from flows.console import show_progress
    from tasks.upstream import check_recipe as check
    from tasks.upstream import try_with_model
    from tasks.workspace import Workspace

    show_progress(console)
    recipe, splits = check(file)
    rows = ", ".join(f"{len(split)} {name}" for name, split in splits.items())
    tried = try_with_model(file, Workspace.from_environment())
    console.print(
        f"{file}: good. Model {recipe.model}; devices {', '.join(device.name for device in recipe.devices)}; "
        f"{len(recipe.gates)} gates; rows: {rows}. Digest {recipe.digest[:12]}."
    )
    console.print(escape(f"{tried}."), soft_wrap=True, highlight=False)


def _share(given: float) -> float:
    """Return the value of an option that is a share of rows. Raises ConfigurationError for another number."""
    if 0 <= given <= 1:
        return given
    raise ConfigurationError(f"expected a share of rows from 0 to 1, got {given:g}; write 5 % as 0.05")


@gates.command("plan")
def plan_gates(
    file: Annotated[Path, typer.Argument(metavar="RECIPE", help="Path of a recipe, or the name of a shipped one.")],
    discordance: Annotated[
        float, typer.Option(callback=_share, help="Share of rows on which only one of two models is right.")
    ] = 0.05,
    accuracy: Annotated[
        float, typer.Option(callback=_share, help="Share of rows that a model has right, where none was judged yet.")
    ] = 0.9,
) -> None:
    """Say, without training anything, which gates the test rows can decide, and how likely all of them pass."""
    prepare(HOME)
    from flows.decisions import wear_of
    from flows.listings import joint_sentences, level_sentence, plan_table
    from tasks.reporting import plan_gates as planned
    from tasks.workspace import Workspace

    for plan in planned(file, discordance, accuracy, Workspace.from_environment()):
        console.print(plan_table(f"{file} on {plan.device}", plan.lines, plan.joint))
        console.print(joint_sentences(plan.joint, discordance, accuracy))
    if plan.spending is not None:
        taken = f" {wear_of(file)}" if plan.registry_is_there else ""
        console.print(escape(f"{level_sentence(plan.spending)}{taken}"))
    console.print(
        f"Rows: those in test that decide. Needed: rows of the same mix with which two equal models that disagree on "
        f"{discordance:.1%} of them pass 4 times in 5. What depends on the answers themselves is not known before."
    )
