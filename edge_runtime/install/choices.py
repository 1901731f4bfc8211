"""Choices between ways to run a bundle on one device: what each was measured at, and which one is better."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_runtime.model_files import HeadGraph
from edge_runtime.settings import SessionSettings

Graph = Literal["portable", "tuned"]
"""The graph as it was published, or as it was optimized on this device."""
NEAR = 0.95
"""Share of another choice's time that a choice must stay below to be faster, so that noise alone changes nothing."""
SAME = 1.1
"""Times another choice's time that a choice may take which leaves more memory to be shared."""
_SAVING, _LEAST_SAVED = 0.1, 4 << 20
"""Share of a model's bytes that a choice must save in each process, to count as one that shares more."""


@dataclass(frozen=True)
class MeasuredChoice:
    """A way to run a bundle, as it was measured on this device.

    `p50_ms` is the median time of one row, `batch_p50_ms` that of the most rows that the bundle was measured with, None
    where it answers one at a time. Those of the portable graph come first, the second one from the manifest. The others
    are multiples of them, by times that were taken in turns. `private_mb` is what each process has of the model for
    itself.
    """

    graph: Graph
    session: SessionSettings
    p50_ms: float
    batch_p50_ms: float | None
    private_mb: float

    def is_better_than(self, other: "MeasuredChoice", model_bytes: int) -> bool:
        """Tell whether this choice is to be taken in the place of another one.

        One that is faster is, unless it takes more private memory; one that takes less is, unless it is slower.
        """
        saved = (other.private_mb - self.private_mb) * (1 << 20)
        if abs(saved) <= max(_SAVING * model_bytes, _LEAST_SAVED):
            return self._slowdown(other) < NEAR
        return self._slowdown(other) <= (SAME if saved > 0 else 1 / SAME)

    def _slowdown(self, other: "MeasuredChoice") -> float:
        """Return the time as a share of another choice's, at that number of rows at which it compares worst."""
        ratios = [self.p50_ms / other.p50_ms]
        if self.batch_p50_ms is not None and other.batch_p50_ms is not None:
            ratios.append(self.batch_p50_ms / other.batch_p50_ms)
        return max(ratios)

    def to_plain(self) -> dict[str, Any]:
        """Return the choice as JSON values."""
        return {**vars(self), "session": self.session.to_plain()}


@dataclass(frozen=True)
class FailedChoice:
    """A way to run a bundle that does not work on this device, and the reason in a sentence."""

    graph: Graph
    session: SessionSettings | None
    reason: str

    def to_plain(self) -> dict[str, Any]:
        """Return the choice as JSON values."""
        return {**vars(self), "session": None if self.session is None else self.session.to_plain()}


def choice_from_plain(data: Mapping[str, Any]) -> MeasuredChoice | FailedChoice:
    """Return what to_plain wrote. Raises ValueError, KeyError, TypeError or SessionError for anything else."""
    session = None if data["session"] is None else SessionSettings.from_plain(data["session"])
    if "reason" in data:
        return FailedChoice(data["graph"], session, str(data["reason"]))
    if session is None:
        raise ValueError("expected the session of a choice that was measured, got none")
    times = [data["p50_ms"], data["batch_p50_ms"], data["private_mb"]]
    if not all(value is None or isinstance(value, int | float) for value in times):
        raise ValueError(f"expected figures of a choice, got {times}")
    return MeasuredChoice(data["graph"], session, *times)


@dataclass(frozen=True)
class HowItRuns:
    """Way in which a bundle runs on this device: the graph, its kind and its heads, the session, what was tried.

    `tried` is empty where nothing was chosen here. `said` is why the choice that was made holds no more; empty if it
    does.
    """

    graph: Path
    session: SessionSettings
    kind: Graph = "portable"
    tried: tuple[MeasuredChoice | FailedChoice, ...] = ()
    said: str = ""
    heads: tuple[HeadGraph, ...] = ()
