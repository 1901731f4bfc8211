"""The process of a flow run, written into the run at its beginning and read where somebody asks whether it lives."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from uuid import UUID

from flows.watch.run_log import show_own_lines
from tasks.life_signs import show_life
from tasks.processes import Process

LABEL = "edgewright.process"
TIMES = "times"
"""Key of the number of times that the run had begun, this time included."""


def say_who_works(home: Path) -> None:
    """Show below a home that this process lives, and write it into the flow run; nothing where no server keeps runs.

    From here on the run's log is as its page in Prefect shall show it. A server that is away is waited for. What the
    run shows of its deployment is asked for here too, and once.
    """
    from prefect.runtime import flow_run

    if flow_run.id is None:
        return
    from tasks.patience import patiently, remember_deployment

    show_own_lines()
    show_life(home)
    run = UUID(flow_run.id)
    patiently(lambda: _write_label(run))
    remember_deployment()


def _write_label(run: UUID) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        times = client.read_flow_run(run).run_count  # the run's own copy is of before it began
        said = {**asdict(Process.this()), TIMES: times}
        client.update_flow_run_labels(run, {LABEL: json.dumps(said)})


def process_of(labels: Mapping[str, Any], times: int) -> Process | None:
    """Return the process that works on a run which was begun so many times; None where its labels do not tell.

    A run that is tried again keeps the label of its earlier process until the next one has written its own.
    """
    try:
        content = json.loads(str(labels[LABEL]))
        if content[TIMES] != times:
            return None
        return Process(**{field.name: content[field.name] for field in fields(Process)})
    except (KeyError, ValueError, TypeError):
        return None
