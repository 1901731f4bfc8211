"""The flow `ingest`: takes the reports of devices out of a drop box, each hour where one is named."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.deployed import Places
from flows.watch import say_who_works
from tasks.errors import DropBoxError, SystemFailure
from tasks.field import Enrolments, Ingested, ReportBox, ingest_box
from tasks.registry import FieldRecords
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
BOX = "EDGEWRIGHT_BOX"
Box = Annotated[
    str | None,
    Field(
        json_schema_extra={
            "title": "Drop box (leave it empty)",
            "description": f"Folder on the worker's machine that devices put their reports into. Empty for {BOX}.",
        }
    ),
]


@flow(name="ingest")
def ingest(box: Box = None, workspace: Places = None) -> list[str]:
    """Take the new reports of all enrolled devices out of a drop box, and tell MLflow what runs in the field.

    Returns what was taken, refused and noticed, in sentences; nothing where no box is named. What is in the field is
    never what gates compare with. Raises DropBoxError where the box is none, SystemFailure where it or a record could
    not be read.
    """
    workspace = workspace or Workspace.from_environment()
    say_who_works(workspace.home)
    if not (box or os.environ.get(BOX)):
        logger.info("no drop box is named in %s, so no report is taken", BOX)
        return []
    ingested = ingest_into(workspace, box_of(Path(box) if box else None))
    for sentence in said_of(ingested):
        logger.info("%s", sentence)
    if ingested.failed:
        raise SystemFailure(f"expected to read every device's box and record, got: {'; '.join(ingested.failed)}")
    return list(said_of(ingested))


def ingest_into(workspace: Workspace, box: Path) -> Ingested:
    """Take what is new in a box into the registry of a workspace; as `ingest_box`."""
    return ingest_box(ReportBox(box), Enrolments(workspace.home), FieldRecords(workspace.tracking_uri))


def box_of(given: Path | None) -> Path:
    """Return the box that is given, or that of the environment. Raises DropBoxError where none is named."""
    named = given or os.environ.get(BOX)
    if not named:
        raise DropBoxError(f"expected the folder of a drop box, got none; name it, or set {BOX}")
    return Path(named)


def said_of(ingested: Ingested) -> Iterator[str]:
    """Yield what people are told: first what was taken, then notes, and last what was refused or failed."""
    taken = {name: count for name, count in ingested.taken.items() if count}
    for name, count in taken.items():
        yield f"{name}: {count:,} new {'report' if count == 1 else 'reports'}"
    if not taken:
        yield f"no new report of {len(ingested.taken):,} enrolled {'device' if len(ingested.taken) == 1 else 'devices'}"
    yield from ingested.notes
    yield from (f"refused: {sentence}" for sentence in ingested.refused)
    yield from (f"failed: {sentence}" for sentence in ingested.failed)
