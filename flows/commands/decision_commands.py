"""Commands for decisions of named persons: `edgewright anchor`, `looks`, `hold` and `rollback`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.environment import HOME, prepare

anchor = typer.Typer(
    help="Look at the release that cumulative margins are held against, and move it.", no_args_is_help=True
)
looks = typer.Typer(help="Look at how worn the test rows are, and grant further looks.", no_args_is_help=True)
hold = typer.Typer(help="Look at the versions that are held back from a device, and lift a hold.", no_args_is_help=True)
console = Console()
ByOption = Annotated[str, typer.Option(help="Who answers for it.")]
ModelArgument = Annotated[str, typer.Argument(help="Name of the registered model.")]
DeviceOption = Annotated[str, typer.Option(help="Device class.")]
RecipeArgument = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="Path of a recipe, or the name of a shipped one.")
]


@anchor.command("show")
def show_anchor(
    model: Annotated[str, typer.Argument(help="Name of the registered model.")],
    device: Annotated[str, typer.Argument(help="Device class.")],
) -> None:
    """Show the release that cumulative margins are held against, who chose it, when and why."""
    prepare(HOME)
    from flows.decisions import anchor_of

    console.print(escape(anchor_of(model, device)), soft_wrap=True)


@anchor.command("set")
def set_anchor(
    model: Annotated[str, typer.Argument(help="Name of the registered model.")],
    device: Annotated[str, typer.Argument(help="Device class.")],
    release: Annotated[int, typer.Argument(help="Number of a release that passed its gates.")],
    by: ByOption,
    reason: Annotated[str, typer.Option(help="Why the margin begins anew at this release.")],
) -> None:
    """Move the anchor to another release: the loss that it allows is counted from there on.

    Answers that were given stay. Ask again with edgewright compress --again.
    """
    prepare(HOME)
    from flows.decisions import move_anchor

    console.print(escape(move_anchor(model, device, release, by=by, reason=reason)), soft_wrap=True)


@looks.command("show")
def show_looks(recipe: RecipeArgument) -> None:
    """Show every look of the recipe's gates at its test rows, and how many are left."""
    prepare(HOME)
    from flows.decisions import looks_table, wear_of

    console.print(looks_table(recipe))
    console.print(escape(wear_of(recipe)), soft_wrap=True)


@looks.command("grant")
def grant_looks(
    recipe: RecipeArgument,
    looks: Annotated[int, typer.Option(help="How many further versions, devices and recipes may be decided.")],
    by: ByOption,
    reason: Annotated[str, typer.Option(help="Why these rows may be looked at again, instead of new ones.")],
) -> None:
    """Go on with worn test rows: a person answers for further looks, beyond what the recipe allows."""
    prepare(HOME)
    from flows.decisions import grant_further

    console.print(escape(grant_further(recipe, looks, by=by, reason=reason)), soft_wrap=True)


def rollback_command(
    model: ModelArgument,
    device: DeviceOption,
    by: ByOption,
    reason: Annotated[str, typer.Option(help="Why the deployed version is left.")],
    to: Annotated[str | None, typer.Option(help="Upstream version to go back to; the one before if not given.")] = None,
) -> None:
    """Publish what was deployed before, as a new release, and hold the version that is left.

    The file and its verdict are those of then: nothing is trained or judged. Said once more, it goes further back.
    Neither watcher nor schedule publishes the held version on this device, until its hold is lifted or a newer comes.
    """
    prepare(HOME)
    from flows.console import show_progress
    from flows.decisions import roll_back_to

    show_progress(console)
    console.print(escape(roll_back_to(model, device, to, by=by, reason=reason)), soft_wrap=True)


@hold.command("show")
def show_hold(model: ModelArgument, device: DeviceOption) -> None:
    """Show the versions that are held back from a device, by whom, when and why."""
    prepare(HOME)
    from flows.decisions import holds_of

    console.print(escape(holds_of(model, device)), soft_wrap=True)


@hold.command("lift")
def lift_hold(
    model: ModelArgument,
    device: DeviceOption,
    by: ByOption,
    reason: Annotated[str, typer.Option(help="Why the version may be published again.")],
    version: Annotated[str | None, typer.Option(help="Only this upstream version.")] = None,
) -> None:
    """Let watcher, schedule and persons publish a held version again; the newest one is asked for at the next look."""
    prepare(HOME)
    from flows.decisions import lift_holds

    console.print(escape(lift_holds(model, device, version, by=by, reason=reason)), soft_wrap=True)
