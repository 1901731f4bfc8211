"""A writer of artifacts beside the run: a slow or absent Prefect server keeps a thread waiting, and not the run."""

import logging
import threading
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any
from uuid import UUID

logger = logging.getLogger("edgewright")
PAUSE_S = 5.0
"""Seconds between two rounds of writing: a training has thousands of steps, of which the newest is shown.

Each round takes CPU time from the run itself where the server is on the same machine.
"""
REST_S = 30.0
"""Seconds before the server is asked again that did not take an artifact."""
CLOSE_S = 15.0
"""Seconds that the end of a run waits for what is not written yet."""
ANSWER_S = 10.0


@dataclass(frozen=True)
class Artifact:
    """An artifact as it is to be shown from now on, and the task run and flow run that it is made in."""

    kind: str
    data: Any
    text: str
    task_run: UUID | None = None
    flow_run: UUID | None = None


class ArtifactWriter:
    """Artifacts that wait to be written, the newest form of each by its key. An error is a warning, told once."""

    def __init__(self, pause_s: float = PAUSE_S, rest_s: float = REST_S) -> None:
        self.pause_s, self.rest_s = pause_s, rest_s
        self._waiting: dict[str, Artifact] = {}
        self._made: dict[str, UUID] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._warned = False
        # A context of its own, so that Prefect's settings hold there; a daemon, so that it never outlives the run.
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,), daemon=True)
        self._thread.start()

    def put(self, key: str, artifact: Artifact) -> None:
        """Have an artifact shown under its key instead of an earlier form of it."""
        with self._changed:
            self._waiting[key] = artifact
            self._changed.notify()

    def close(self) -> None:
        """Wait for a bounded time until everything is written."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join(CLOSE_S)

    def _work(self) -> None:
        while (waiting := self._next()) is not None:
            rest = self.pause_s if self._write(waiting) else self.rest_s
            self._closing.wait(rest)

    def _next(self) -> dict[str, Artifact] | None:
        """Wait for artifacts and return them; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
            waiting, self._waiting = self._waiting, {}
            return waiting or None

    def _write(self, waiting: dict[str, Artifact]) -> bool:
        """Write artifacts; those that the server does not take wait again unless a newer form or the end came."""
        from prefect.client.orchestration import get_client

        try:
            with get_client(httpx_settings={"timeout": ANSWER_S}, sync_client=True) as client:
                while waiting:
                    key = next(iter(waiting))
                    self._send(client, key, waiting[key])
                    del waiting[key]
        except Exception as error:  # Prefect is away: the run goes on
            if not self._warned:
                logger.warning("the run's pages on the Prefect server are behind: %s", type(error).__name__)
            self._warned = True
            with self._changed:
                self._waiting = {} if self._closing.is_set() else waiting | self._waiting
            return False
        return True

    def _send(self, client: Any, key: str, artifact: Artifact) -> None:
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

        if key in self._made:
            client.update_artifact(self._made[key], ArtifactUpdate(data=artifact.data, description=artifact.text))
            return
        request = ArtifactCreate(
            key=key, type=artifact.kind, data=artifact.data, description=artifact.text,
            task_run_id=artifact.task_run, flow_run_id=artifact.flow_run,
        )  # fmt: skip
        self._made[key] = client.create_artifact(request).id
