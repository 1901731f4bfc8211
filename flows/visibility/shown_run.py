"""A run as people see it: its pages while it works, and a notice of what came of it."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from prefect.runtime import flow_run

from flows.environment import EMBEDDED_API
from flows.visibility.artifact_writer import ArtifactWriter
from flows.visibility.links import ReportPlaces
from flows.visibility.notices import answered, decided, ended
from flows.visibility.notifications import NOTIFY, notify
from flows.visibility.run_pages import RunPages
from tasks.errors import one_line
from tasks.outcomes import DeviceOutcome, Outcome
from tasks.progress import told_to
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
Tell: TypeAlias = Callable[[Outcome], Outcome]


@contextmanager
def shown(model: str, version: str, recipe: str, workspace: Workspace) -> Iterator[Tell]:
    """Show what is done inside on the run's pages; yield a function that tells people the outcome and returns it.

    An error is told to people and goes on. Pages need a Prefect server that keeps runs: the one that a command starts
    for itself ends with it.
    """
    writer = ArtifactWriter() if _is_kept() else None
    pages = None if writer is None else RunPages(model, writer)

    def tell(outcome: Outcome) -> Outcome:
        _tell(outcome, workspace, pages)
        return outcome

    with told_to(None if pages is None else pages.advance):
        try:
            yield tell
        except Exception as error:
            notify(ended(model, version, recipe, one_line(error)))
            raise
        finally:
            if writer is not None:
                writer.close()


def tell_decision(line: DeviceOutcome, workspace: Workspace) -> None:
    """Notify people of what persons decided on a version that waited; of one that waits still there is no news."""
    if line.waits or not os.environ.get(NOTIFY):
        return
    try:
        notify(decided(line, ReportPlaces.of(workspace.tracking_uri, line.model).in_words))
    except Exception as error:  # the decision is recorded by now
        logger.warning("people were not told of this decision: %s", one_line(error))


def _is_kept() -> bool:
    """Tell whether a Prefect server keeps this run and shows it to people afterwards."""
    address = os.environ.get("PREFECT_API_URL")
    return bool(address) and address != os.environ.get(EMBEDDED_API) and flow_run.id is not None


def _tell(outcome: Outcome, workspace: Workspace, pages: RunPages | None) -> None:
    """Put the answers on the run's pages and notify people. An answer that was known before is no news."""
    wanted = bool(os.environ.get(NOTIFY)) and not outcome.reused
    if pages is None and not wanted:
        return
    try:
        places = ReportPlaces.of(workspace.tracking_uri, outcome.model)
        if pages is not None:
            pages.answers(outcome, places)
        if wanted:
            notify(answered(outcome, places.in_words))
    except Exception as error:  # the answer is recorded by now: it stays, whoever hears of it
        logger.warning("people were not told of this answer: %s", one_line(error))
