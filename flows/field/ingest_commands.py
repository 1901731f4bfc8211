"""`edgewright ingest`: takes the reports of devices out of a drop box, and says what was refused and why."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.environment import HOME, prepare

console = Console()
BoxArgument = Annotated[
    Path | None, typer.Argument(metavar="BOX", help="Folder with the reports; EDGEWRIGHT_BOX if not given.")
]


def ingest_command(box: BoxArgument = None) -> None:
    """Take the new reports of all enrolled devices out of a drop box, and tell MLflow what runs in the field.

    Each report is taken once, whoever asks and whatever is killed. Exits with 1 where a report was refused, and with 3
    where the box or a record could not be read.
    """
    prepare(HOME)
    from flows.exit_codes import FAILED, PUBLISHED, REFUSED
    from flows.field.ingest_flow import box_of, ingest_into, said_of
    from tasks.workspace import Workspace

    ingested = ingest_into(Workspace.from_environment(), box_of(box))
    for line in said_of(ingested):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    raise typer.Exit(FAILED if ingested.failed else REFUSED if ingested.refused else PUBLISHED)
