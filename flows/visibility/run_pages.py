"""Pages of a run on a Prefect server: progress bars, tables of rounds, rungs and gates, and the way to the reports."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Protocol

from flows.visibility.artifact_writer import Artifact
from flows.visibility.links import ReportPlaces
from tasks.outcomes import DeviceOutcome, Outcome
from tasks.progress import Advance, Cell


class Writer(Protocol):
    """Taker of artifacts by their keys."""

    def put(self, key: str, artifact: Artifact) -> None:
        """Have an artifact shown under its key instead of an earlier form of it."""


def artifact_key(*parts: str) -> str:
    """Return the key of an artifact, which is the same for every run of a model: small letters, digits and dashes.

    Names that lose something by it get a few digits of their digest, so that no two are the same.
    """
    written = "-".join(part for part in parts if part)
    key = re.sub(r"[^a-z0-9]+", "-", written.lower()).strip("-")
    return key if key == written else f"{key}-{hashlib.sha256(written.encode()).hexdigest()[:6]}".strip("-")


class RunPages:
    """The artifacts of one run: what is told becomes lines and bars, by the model, the device and the stage."""

    def __init__(self, model: str, writer: Writer) -> None:
        self.model, self.writer = model, writer
        self._lines: dict[str, list[Mapping[str, Cell]]] = {}

    def advance(self, told: Advance) -> None:
        """Show an advance: its lines in the stage's table, and the stage's bar."""
        of = f"{told.stage.capitalize()} of {self.model}{f' on {told.device}' if told.device else ''}"
        key = artifact_key(self.model, told.device, told.stage)
        if told.lines:
            before = [] if told.whole else self._lines.get(key, [])
            self._lines[key] = [*before, *({name: _plain(cell) for name, cell in line.items()} for line in told.lines)]
            self._put(key, "table", json.dumps(self._lines[key]), f"{of}. {told.said}")
        share = 100 * min(told.done / max(told.total, 1), 1.0)
        self._put(f"{key}-progress", "progress", share, f"{of}. {told.said}")

    def answers(self, outcome: Outcome, places: ReportPlaces) -> None:
        """Show the answer on each device with the way to its report."""
        for line in outcome.devices:
            self._answer(line, places)

    def _answer(self, line: DeviceOutcome, places: ReportPlaces) -> None:
        title = f"{line.model} version {line.version} on {line.device}"
        link = places.link(line)
        way = f"[Gate report]({link})" if link else f"`{places.in_words(line)}`"
        text = f"**{title}: {line.in_a_line}**\n\n{way}\n"
        self._put(artifact_key(line.model, line.device, "report"), "markdown", text, f"Gate report of {title}")

    def _put(self, key: str, kind: str, data: Any, text: str) -> None:
        from prefect.utilities.context import get_task_and_flow_run_ids

        self.writer.put(key, Artifact(kind, data, text, *get_task_and_flow_run_ids()))


def _plain(value: Cell) -> Cell:
    """Return a cell as JSON has it, which knows no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
