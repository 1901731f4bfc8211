"""Answers: the outcomes of versions and devices, kept with their runs and found again by everything they depend on."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tasks.errors import RegistryError, one_line
from tasks.registry.edge_versions import is_number
from tasks.registry.runs import (
    ANSWER,
    DEVICE,
    DEVICE_KEY,
    FAILED,
    KEY,
    MODEL,
    QUESTION_KEY,
    STAGE,
    UNDECIDED,
    VERSION,
    Runs,
)

logger = logging.getLogger("edgewright")
ANSWER_KEY = "edgewright.answer_key"
ATTEMPTS = "edgewright.attempts"
OUTCOME = "outcome.json"
UNREADABLE = (RegistryError, MlflowException, OSError, ValueError)


@dataclass(frozen=True)
class RecordedAnswer:
    """An answer as it is stored: its run, that run's parent, when it began (ms), whose it is, the outcome as JSON."""

    run: str
    parent: str
    started: int
    version: str
    device: str
    key: str
    answer: str
    outcome: Mapping[str, Any]


@dataclass(frozen=True)
class RecordedError:
    """The error that a version was answered with: its run and its sentence."""

    run: str
    sentence: str


class Answers:
    """The answers that the runs of one upstream model hold."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs

    def record(
        self, run: str, answer: str, outcome: Mapping[str, Any], answer_key: str | None = None, shown: str = ""
    ) -> None:
        """Record an answer: the outcome first, then the tag that makes it count, then the run's name.

        The run is named by the answer, or by the longer text `shown`.
        `answer_key` is that of a whole version's answer. An undecided one counts the attempts under this key.
        """
        self.runs.text(run, OUTCOME, json.dumps(outcome, indent=2))
        tags = {ANSWER: answer}
        if answer_key is not None:
            before = self.attempts(run, answer_key)
            tags |= {ANSWER_KEY: answer_key, ATTEMPTS: f"{answer_key} {before + 1}" if answer == UNDECIDED else ""}
        self.runs.log(run, tags=tags)
        self.runs.name_by(run, shown or answer)
        self.runs.finish(run, failed=answer in FAILED)

    def is_recorded(self, run: str) -> bool:
        """Tell whether a version's run has its answer; it has none where a kill came after those of all devices."""
        return ANSWER in self.runs.tags(run)

    def attempts(self, run: str, answer_key: str) -> int:
        """Return how many runs under a key ended undecided since the last answer."""
        key, _, count = self.runs.tags(run).get(ATTEMPTS, "").rpartition(" ")
        return int(count) if key == answer_key and is_number(count) else 0

    def error(self, version: str, run_key: str, answer_key: str) -> RecordedError | None:
        """Return the error that a version was answered with under exactly these keys, if it was one."""
        for run in self.runs.search({KEY: run_key, STAGE: "compress", VERSION: version, ANSWER_KEY: answer_key}):
            if run.data.tags.get(ANSWER) != "error":
                continue
            try:
                sentence = self._read(run.info.run_id)["error"]
            except (*UNREADABLE, KeyError) as error:
                self._passed_over(run, error)
                continue
            if isinstance(sentence, str):  # else each device has its own
                return RecordedError(str(run.info.run_id), sentence)
        return None

    def of_device(self, version: str, device_key: str) -> Iterator[RecordedAnswer]:
        """Yield the answers that a device got under a key, the newest first; undecided ones do not count.

        An answer whose outcome can no longer be read is passed over with a warning.
        """
        yield from self._decided({DEVICE_KEY: device_key, VERSION: version})

    def to_question(self, version: str, question_key: str) -> Iterator[RecordedAnswer]:
        """Yield the answers that a device got to what people decide on, with whatever toolchain; as `of_device`."""
        yield from self._decided({QUESTION_KEY: question_key, VERSION: version})

    def _decided(self, tags: Mapping[str, str]) -> Iterator[RecordedAnswer]:
        for run in self.runs.search(tags):
            found = self._answer_of(run)
            if found is not None and found.answer != UNDECIDED:
                yield found

    def of_devices(self, tags: Mapping[str, str] | None = None) -> Iterator[RecordedAnswer]:
        """Yield every answer of every device that can be read, the earliest first; those with these tags alone."""
        for run in reversed(self.runs.search({MODEL: self.runs.model, **(tags or {})})):
            if DEVICE in run.data.tags and (found := self._answer_of(run)) is not None:
                yield found

    def newest_run(self, version: str, device: str) -> str | None:
        """Return the newest run that has an answer to a version on a device, whatever the recipe was."""
        found = self.runs.search({VERSION: version, DEVICE: device})
        return next((str(run.info.run_id) for run in found if ANSWER in run.data.tags), None)

    def find_child_text(self, version: str, device_key: str, name: str) -> str | None:
        """Return a text artifact of the newest run that worked on a device's answer and has one."""
        for run in self.runs.search({DEVICE_KEY: device_key, VERSION: version}):
            found = self.runs.find_text(str(run.info.run_id), name)
            if found is not None:
                return found
        return None

    def _answer_of(self, run: Run) -> RecordedAnswer | None:
        tags = run.data.tags
        if ANSWER not in tags:
            return None
        try:
            outcome = self._read(run.info.run_id)
        except UNREADABLE as error:
            self._passed_over(run, error)
            return None
        return RecordedAnswer(
            str(run.info.run_id), tags.get(MLFLOW_PARENT_RUN_ID, ""), int(run.info.start_time), tags.get(VERSION, ""),
            tags[DEVICE], tags.get(DEVICE_KEY, ""), tags[ANSWER], outcome,
        )  # fmt: skip

    def _passed_over(self, run: Run, error: Exception) -> None:
        logger.warning("run %s: its %s cannot be read (%s)", run.info.run_id, OUTCOME, one_line(error))

    def _read(self, run: str) -> dict[str, Any]:
        outcome = json.loads(self.runs.read_text(run, OUTCOME))
        if not isinstance(outcome, dict):
            raise ValueError(f"expected keys and values, got {type(outcome).__name__}")
        return outcome
