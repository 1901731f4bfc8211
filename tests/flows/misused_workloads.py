"""Workloads that people get wrong, each in one way."""

import sys
from typing import Any, Never

from deployments.workload import Split, SplitName
from tests.end_to_end.tiny.workload import Tiny

NO_WORKLOAD = 3


class Raising(Tiny):
    """Data that is not where the code looks for it."""

    def split(self, name: SplitName) -> Split:
        raise FileNotFoundError(f"no such file: /data/{name}.npy")


class OutOfMemory(Tiny):
    """Data that does not fit into the memory of this machine."""

    def split(self, name: SplitName) -> Split:
        raise MemoryError(f"cannot allocate {name}")


class Leaving(Tiny):
    """A script that ends where it finds nothing to do."""

    def split(self, *_: Any) -> Never:
        sys.exit(0)


class LeavingInTraining(Tiny):
    """A loss that ends the process."""

    def loss(self, *_: Any) -> Never:
        sys.exit(0)


class LeavingWithAnswers(Tiny):
    """Predictions that end the process."""

    def predictions(self, *_: Any) -> Never:
        sys.exit(0)


class NoSplit(Tiny):
    """A split that is no split."""

    def split(self, name: SplitName) -> Split:
        return {name: None}  # type: ignore[return-value]
