"""`edgewright keys`: the keys that sign what devices take. A passphrase is no argument, which others could see."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from flows.environment import HOME, prepare

if TYPE_CHECKING:
    from tasks.repository import Ask, KeyWork

keys = typer.Typer(help="Make, look at, replace and use the keys that sign what devices take.", no_args_is_help=True)
console = Console()
WithOption = Annotated[
    list[Path] | None, typer.Option("--with", metavar="KEY", help="Key file of a person, or a folder of such; several.")
]
ChangeOption = Annotated[
    Path | None,
    typer.Option("--change", metavar="FILE", help="Write the change here where further persons have to sign it."),
]
OfflineOption = Annotated[
    Path | None, typer.Option("--offline", metavar="FOLDER", help="Folder for new keys of persons, outside the worker.")
]


@keys.command("init")
def init_keys(
    offline: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the keys of persons.")],
    device: Annotated[list[str] | None, typer.Option(help="Device profile to make a key for; several.")] = None,
    root_keys: Annotated[int, typer.Option(help="Persons who hold a key of the root.")] = 3,
    threshold: Annotated[int, typer.Option(help="Keys of the root that sign a change of it.")] = 2,
    targets_keys: Annotated[
        int | None, typer.Option(help="Persons who hold a key of targets; as many as of the root if not given.")
    ] = None,
    targets_threshold: Annotated[
        int | None, typer.Option(help="Keys of targets that sign a change of it; as many as of the root if not given.")
    ] = None,
) -> None:
    """Make the keys, and an empty signed repository at the place that EDGEWRIGHT_TARGET names.

    Said again after a kill, it completes what is missing. It prints where each key goes.
    """
    from tasks.repository import PINNED, RootShape

    work = _work()
    shape = RootShape(root_keys, threshold, targets_keys or root_keys, targets_threshold or threshold)
    work.begin(offline, shape, device or ())
    _say(
        [
            f"The signed repository is in {work.repository.store.address}.",
            f"Ship {work.worker / PINNED} with every device: it is the root that devices trust.",
            f"Give each folder in {offline} to one person, who keeps it where no network is, and copies it once. Then "
            "remove it here.",
            f"The worker's keys are in {work.worker}, for snapshot, timestamp and each device. Only what publishes "
            "needs them.",
            "A model that was published before is signed once it is published again: edgewright compress MODEL VERSION "
            "--recipe RECIPE",
            "Next: edgewright keys status",
        ]
    )


@keys.command("add")
def add_device(
    device: Annotated[str, typer.Argument(help="Name of a device profile.")],
    with_: WithOption = None,
    change: ChangeOption = None,
) -> None:
    """Make a key for a further device profile; persons sign with their keys of targets."""
    _say(_work().add(device, with_ or (), change))


@keys.command("status")
def show_status() -> None:
    """Show every role with its version, expiry, keys and threshold. Exits with 1 where a person has to do something."""
    from flows.keys.status_table import status_table
    from tasks.repository import expiries

    work = _work()
    repository = work.repository
    found = expiries(repository.reader.state(), repository.periods, repository.now())
    console.print(status_table(found, repository.now(), work.here))
    raise typer.Exit(1 if any(each.needs for each in found) else 0)


@keys.command("rotate")
def rotate_keys(
    role: Annotated[str, typer.Argument(help="root, targets, online, or the name of a device profile.")],
    with_: WithOption = None,
    offline: OfflineOption = None,
    change: ChangeOption = None,
) -> None:
    """Replace all keys of a role by new ones; devices follow, and what is published stays."""
    _say(_work().rotate(role, with_ or (), offline, change))


@keys.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as edgewright keys status shows it.")],
    with_: WithOption = None,
    offline: OfflineOption = None,
    change: ChangeOption = None,
    empty: Annotated[
        bool,
        typer.Option("--empty", help="Offer nothing to that device profile until something is published anew."),
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Make snapshot and timestamp anew, where a thief of the online key signed them."
        ),
    ] = False,
) -> None:
    """Replace one key that was lost or stolen; devices refuse what it signs from then on.

    What is published for a device is signed again with the new key. Look at it first, or say --empty, where a stolen
    key may have signed something else.
    """
    _say(_work().revoke(key, with_ or (), offline, change, empty=empty, rebuild=rebuild))


@keys.command("renew")
def renew_signatures(
    role: Annotated[str, typer.Argument(help="root or targets.")],
    with_: WithOption = None,
    change: ChangeOption = None,
) -> None:
    """Sign root or targets for a further period with the same keys, as persons do once a year."""
    _say(_work().renew(role, with_ or (), change))


@keys.command("sign")
def sign_change(
    change: Annotated[Path, typer.Argument(metavar="FILE", help="Change that another person began.")],
    with_: WithOption = None,
) -> None:
    """Show what a change would do, and add the signatures of your key; without a key it is only shown."""
    work = _work()
    _say(work.sign(change, with_) if with_ else work.shown(change))


@keys.command("publish")
def publish_signed_change(
    change: Annotated[Path, typer.Argument(metavar="FILE", help="Change that enough persons have signed.")],
) -> None:
    """Publish a change that enough persons have signed."""
    _say(_work().publish(change))


@keys.command("resign")
def resign_now() -> None:
    """Sign the timestamp again, and whatever else a machine signs and is due; the flow resign does so each day."""
    missing = _work().repository.resign()
    _say([f"{role}: due, and its key is not here" for role in missing] or ["Signed. Nothing else was due."])


def _work() -> "KeyWork":
    """Return the repository and keys that the environment names, with somebody to ask where there is a terminal."""
    prepare(HOME)
    from tasks.repository import KeyWork, Passphrases, keys_folder, open_repository
    from tasks.workspace import Workspace

    workspace = Workspace.from_environment()
    passphrases = Passphrases(_asker())
    folder = keys_folder(workspace.home)
    return KeyWork(open_repository(workspace.published, folder, passphrases), folder, passphrases)


def _asker() -> "Ask | None":
    def ask(prompt: str, *, twice: bool) -> str:
        return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True))

    return ask if sys.stdin.isatty() else None


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
