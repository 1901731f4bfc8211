"""`edgewright export`: the release that devices are offered, for those who carry it themselves."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.environment import HOME, prepare

console = Console()


def export_command(
    model: Annotated[str, typer.Argument(help="Name of the registered model.")],
    out: Annotated[Path, typer.Argument(help="Path where nothing is yet: of a folder, or of an artifact.")],
    device: Annotated[str, typer.Option(help="Device profile.")],
    to: Annotated[str, typer.Option(metavar="dir|mender", help="A folder, or an artifact of Mender.")],
    device_type: Annotated[
        list[str] | None, typer.Option(help="With --to mender: type of device that Mender knows; several.")
    ] = None,
    artifact_name: Annotated[
        str | None, typer.Option(help="With --to mender: MODEL-DEVICE-RELEASE if not given.")
    ] = None,
    documents: Annotated[
        bool, typer.Option("--documents", help="Take the bill of materials and the attestation along.")
    ] = False,
) -> None:
    """Write the release that devices of a profile are offered now, for a stick, an air gap or an OTA of your own.

    It comes from the place that EDGEWRIGHT_TARGET names, and carries its signed metadata with it: a device verifies it
    whatever brought it. No key is needed. Devices take it until the day that is printed.
    """
    prepare(HOME)
    from tasks.delivery import FormOptions, export_release, form_of
    from tasks.repository import keys_folder, open_repository
    from tasks.workspace import Workspace

    form = form_of(to, FormOptions(tuple(device_type or ()), artifact_name))
    workspace = Workspace.from_environment()
    repository = open_repository(workspace.published, keys_folder(workspace.home))
    made = export_release(repository, model, device, form, out.absolute(), documents=documents)
    for line in (
        f"{made.path}: {model} release {made.manifest.release or '-'}, version {made.manifest.version}, for {device} "
        f"({made.digest[:12]}), {made.size} bytes.",
        f"Devices take it until {made.expires:%Y-%m-%d %H:%M} UTC, when the first of its metadata expires.",
    ):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
