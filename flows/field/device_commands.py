"""`edgewright devices`: the device profiles that are shipped, and the devices that report what they run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from flows.environment import HOME, prepare

if TYPE_CHECKING:
    from edge_runtime.reports import PublicDeviceKey
    from tasks.field import Enrolments

devices = typer.Typer(
    help="List the device profiles, and enrol and look at the devices that report.", no_args_is_help=True
)
console = Console()
NameArgument = Annotated[str, typer.Argument(help="Name of the device, for people: letters, digits, dots, dashes.")]


@devices.command("profiles")
def show_profiles() -> None:
    """List the device profiles that come with Edgewright."""
    from deployments.device import shipped_devices
    from flows.listings import devices_table

    console.print(devices_table(shipped_devices()))


@devices.command("enrol")
def enrol_device(
    name: NameArgument,
    key_file: Annotated[Path, typer.Argument(help="Public key of the device, as its command `reports key` prints it.")],
    fingerprint: Annotated[
        str | None,
        typer.Option(help="As `reports status` shows it on the device; a person is asked if not given."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take a new key in place of the one that the name has.")
    ] = False,
) -> None:
    """Trust a device's key: its reports are taken from now on.

    The fingerprint must be the one that the device itself shows. With a new key, the numbers of the reports begin anew.
    """
    enrolments = _enrolments()
    from tasks.field import check_fingerprint, read_public_key

    public = read_public_key(key_file)
    _say(f"A key of a device of the profile {public.profile}. Its fingerprint:", *_in_two_lines(public.fingerprint))
    if fingerprint is None:
        _ask(public)
    else:
        check_fingerprint(public, fingerprint)
    device = enrolments.enrol(name, public, replace=replace)
    _say(f"{device.name} is enrolled. edgewright ingest BOX takes its reports from BOX/{device.device}.")


@devices.command("list")
def list_devices() -> None:
    """Show what each enrolled device runs, beside what is deployed for it, and how it is doing."""
    enrolments = _enrolments()
    from flows.field.field_table import field_table
    from tasks.registry import RegistryView
    from tasks.workspace import Workspace

    known = enrolments.every()
    if not known:
        _say("No device is enrolled: edgewright devices enrol NAME KEY_FILE")
        return
    view = RegistryView.read(Workspace.from_environment().tracking_uri)
    console.print(field_table([(device, enrolments.heard(device)) for device in known], view))


@devices.command("remove")
def remove_device(name: NameArgument) -> None:
    """Trust a device's key no more: its reports are left in the box, and the next ingest counts it no more.

    What it reported stays in MLflow.
    """
    removed = _enrolments().remove(name)
    key = removed.public.fingerprint[:14]
    _say(f"{removed.name} is removed, with the key {key}. What it reported stays in MLflow.")


def _ask(public: "PublicDeviceKey") -> None:
    """Ask a person whether the device shows the same. Raises EnrolmentError without a terminal and for a no."""
    from tasks.errors import EnrolmentError

    if not _is_terminal():
        raise EnrolmentError(
            "--fingerprint: expected the one that the device shows, as nobody can be asked here, got none; say "
            f"--fingerprint '{public.fingerprint}' if the device shows this one"
        )
    if not typer.confirm("Does the device itself show the same?", err=True):
        raise EnrolmentError(
            "the fingerprint: expected a yes from the person who sees it on the device, got a no; carry the key again"
        )


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _in_two_lines(fingerprint: str) -> tuple[str, str]:
    groups = fingerprint.split()
    half = len(groups) // 2
    return f"    {' '.join(groups[:half])}", f"    {' '.join(groups[half:])}"


def _enrolments() -> "Enrolments":
    prepare(HOME)
    from tasks.field import Enrolments
    from tasks.workspace import Workspace

    return Enrolments(Workspace.from_environment().home)


def _say(*lines: str) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
