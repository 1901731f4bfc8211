"""Commands about families of models with one backbone: `edgewright family compose`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deployments.errors import ConfigurationError
from flows.environment import HOME, prepare

if TYPE_CHECKING:  # it loads torch and MLflow
    from tasks.families import Composition

family = typer.Typer(help="Make families of registered models that share a backbone.", no_args_is_help=True)
console = Console()


def _version_of_each(given: Sequence[str]) -> dict[str, str]:
    """Return versions by member. Raises ConfigurationError for a text of another form, and for a member named twice."""
    found: dict[str, str] = {}
    for text in given:
        name, separator, version = text.partition("=")
        if not (name and separator and version):
            raise ConfigurationError(f"--member {text}: expected NAME=VERSION, such as orientation=3; write it so")
        if name in found:
            raise ConfigurationError(
                f"--member {text}: expected each member once, got `{name}` twice; name one version"
            )
        found[name] = version
    return found


@family.callback()
def _family() -> None:
    """Keep `compose` a command of its own."""


@family.command("compose")
def compose_family(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="Path of a family's recipe, or a shipped one's name.")
    ],
    member: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VERSION", help="Version of a member; of the others, the newest is taken."),
    ] = None,
) -> None:
    """Join the registered models of a family, and register the result as the next version of the family's model.

    Nothing is trained. Where the newest version of the family was made of the same versions, nothing is registered.
    """
    prepare(HOME)
    _compose(recipe, _version_of_each(member or ()))


def check_family(model: str, recipe: Path) -> None:
    """Raise ConfigurationError for the recipe of one model, whose versions a person names, and of another model."""
    from deployments.recipe import FamilyRecipe, read_recipe

    read = read_recipe(recipe)
    if not isinstance(read, FamilyRecipe) or read.model != model:
        got = "one model" if read.model == model else f"`{read.model}`"
        raise ConfigurationError(
            f"{recipe}: expected the recipe of the family `{model}` where no version is named, got that of {got}; name "
            f"a version, as in `edgewright compress {read.model} VERSION --recipe {recipe}`"
        )


def composed_version(recipe: Path) -> str:
    """Compose a family of the newest versions of its members; returns the version of the family's model."""
    return _compose(recipe, {}).version


def _compose(recipe: Path, chosen: dict[str, str]) -> "Composition":
    from tasks.families import compose
    from tasks.workspace import Workspace

    workspace = Workspace.from_environment()
    with workspace.scratch():
        made = compose(recipe, workspace, chosen)
    for line in composed_lines(made, recipe):
        console.print(escape(line), soft_wrap=True, highlight=False)
    return made


def composed_lines(made: "Composition", recipe: Path) -> list[str]:
    """Return what a composition made, in lines: the version, its members, and how much they share."""
    what = f"model `{made.model}` version {made.version}"
    of = ", ".join(f"{each.name} ({each.model} version {each.version})" for each in made.record.members)
    if made.backbone is None:
        return [f"Nothing new: {what} was made of {of}."]
    shares = ", ".join(f"{share:.1%} of {name}" for name, share in made.backbone.share.items())
    return [
        f"Registered {what}: {of}.",
        f"Their backbone has {made.backbone.parameters:,} parameters: {shares}.",
        f"Next: edgewright compress {made.model} {made.version} --recipe {recipe}",
    ]
