"""The journal of one architecture: what each step found, on disk after each step."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_runtime.errors import EdgewrightError
from edge_runtime.files import write_atomic
from model_compression.errors import cause_of

SHOWN = 400


class Journal:
    """Steps by name, each with what it found, its seconds, and the error that ended it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: dict[str, dict[str, Any]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Keep what the block writes into the dict; an error is kept and ends only the block."""
        found: dict[str, Any] = {"ended": False}
        self.steps[name] = found
        self._write()
        began = time.monotonic()
        try:
            yield found
        except Exception as error:  # whatever an architecture brings about is a finding
            found |= {"error": str(error)[:SHOWN] or type(error).__name__, "type": type(error).__name__,
                      "cause": cause_of(error)[:SHOWN], "ours": isinstance(error, EdgewrightError)}  # fmt: skip
        found |= {"ended": True, "seconds": round(time.monotonic() - began, 2)}
        self._write()

    def went_well(self, name: str) -> bool:
        """Tell whether a step was done without an error."""
        step = self.steps.get(name)
        return step is not None and step["ended"] and "error" not in step

    def _write(self) -> None:
        write_atomic(self.path, json.dumps(self.steps).encode())
