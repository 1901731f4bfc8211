"""`edgewright sign-off` and `edgewright sign-off-key`: a person's decision, and the key that proves who it was."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.environment import HOME, prepare

console = Console()


def sign_off_command(
    subject: Annotated[
        str, typer.Argument(metavar="MODEL/VERSION|RUN", help="The version that waits, or its run in MLflow.")
    ],
    name: Annotated[str, typer.Option(help="Who decides.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence that is kept.")],
    device: Annotated[str | None, typer.Option(help="The device; not needed where only one waits.")] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key of that person, where the recipe lists signers.")
    ] = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no: the version is refused at once.")] = False,
) -> None:
    """Sign for a version that passed its gates, or refuse it; it is published when enough persons have signed.

    The decision is kept with the run in MLflow and shown in the report, the registry and the bundle.
    """
    prepare(HOME)
    from flows.console import show_progress
    from flows.sign_off.decisions_on_subjects import decide_on
    from flows.sign_off.key_files import read_key
    from tasks.delivery import Person

    show_progress(console)
    person = Person(name, reason, None if key is None else read_key(key, _ask))
    console.print(escape(decide_on(subject, device, person, refuse=refuse)), soft_wrap=True)


def sign_off_key_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file for the private key.")],
) -> None:
    """Make a key to sign with: the private key goes into a file, the public key is printed for the recipe.

    The file is encrypted with a passphrase, from EDGEWRIGHT_KEY_PASSPHRASE or typed in.
    """
    from flows.sign_off.key_files import make_key

    public = make_key(file, _ask_twice)
    console.print(f"Written: {file}. The line for `signers` in the recipe:", soft_wrap=True)
    typer.echo(f"  YOUR NAME: {public}")


def _ask(prompt: str) -> str:
    return str(typer.prompt(prompt, hide_input=True, err=True))


def _ask_twice(prompt: str) -> str:
    return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True))
