"""A client that asks a served model for one row over and over, as soon as it is answered."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np

from edge_runtime.settings import TensorSpec
from tests.edge_runtime.processes import wait_until

LONGEST_S = 120.0
ENOUGH = 50
"""Answers of a version, before it counts as one that serves."""


@dataclass
class AskingClient:
    """Answers by the version that gave them, and what went wrong, in words."""

    url: str
    body: dict[str, object]
    answered: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """The requests that have ended."""
        return self.answered.total() + len(self.failures)

    def wait_for(self, version: str) -> None:
        """Wait until a version has answered often enough; AssertionError where it does not."""
        wait_until(lambda: self.answered[version] >= ENOUGH, LONGEST_S)

    def ask_until(self, over: threading.Event) -> None:
        """Ask without a pause."""
        with httpx.Client(trust_env=False, timeout=LONGEST_S) as client:
            while not over.is_set():
                self._ask(client)

    def _ask(self, client: httpx.Client) -> None:
        try:
            answer = client.post(self.url, json=self.body)
            if answer.is_success:
                self.answered[answer.json()["model_version"]] += 1
            else:
                self.failures.append(f"{answer.status_code}: {answer.text}")
        except (httpx.HTTPError, ValueError, KeyError) as error:
            self.failures.append(repr(error))


@contextmanager
def asking(address: str, model: str, rows: dict[TensorSpec, np.ndarray]) -> Iterator[AskingClient]:
    """Ask a model for the same float32 rows until the block ends."""
    inputs = [
        {"name": spec.name, "datatype": "FP32", "shape": list(array.shape), "data": array.ravel().tolist()}
        for spec, array in rows.items()
    ]
    client, over = AskingClient(f"http://{address}/v2/models/{model}/infer", {"inputs": inputs}), threading.Event()
    thread = threading.Thread(target=client.ask_until, args=(over,))
    thread.start()
    try:
        yield client
    finally:
        over.set()
        thread.join()
