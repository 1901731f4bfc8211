"""Workloads that people get wrong, each in one way."""

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


class NoSplit(Tiny):
    """A split that is no split."""

    def split(self, name: SplitName) -> Split:
        return {name: None}  # type: ignore[return-value]
