"""One architecture of the zoo."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from tests.benchmarks.zoo.data import DataName


@dataclass(frozen=True)
class Entry:
    """An architecture: its name, the library that it is from, the data that it is for, and its builder."""

    name: str
    source: str
    data: DataName
    build: Callable[[], nn.Module]
    outputs: int = 1
