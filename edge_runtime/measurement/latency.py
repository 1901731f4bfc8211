"""Latency in turns: the blocks of timed calls that a model took beside others, and the figures made of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

# What the figures of identical files keep to while they agree; docs/device-profiles.md has the measured table.
ENOUGH = 20
MOST_SWITCHES_PER_S = 100.0  # one rival for the CPU makes 250; calls between switches then still disagree
MOST_P50_OVER_P10 = 1.25
MOST_SPREAD = 0.25
MOST_P99_OVER_P50 = 10.0
MOST_WAITING_OF_LOAD = 0.2


@dataclass(frozen=True)
class TimedBlock:
    """One turn of a model: for each timed call its milliseconds, and its involuntary context switches."""

    milliseconds: tuple[float, ...]
    switches: tuple[int, ...]

    def to_plain(self) -> dict[str, Any]:
        """Return the block as JSON values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, document: Any) -> "TimedBlock":
        """Return the block that to_plain wrote. Raises ValueError for anything else."""
        if not isinstance(document, dict) or set(document) != {"milliseconds", "switches"}:
            raise ValueError(f"expected a block, got {document!r}")
        times, switches = document["milliseconds"], document["switches"]
        if not isinstance(times, list) or not times or not all(_is_time(value) for value in times):
            raise ValueError(f"expected the times of a block, got {times!r}")
        counts = isinstance(switches, list) and len(switches) == len(times)
        if not counts or not all(type(value) is int and value >= 0 for value in switches):
            raise ValueError(f"expected the context switches of {len(times)} calls, got {switches!r}")
        return cls(tuple(map(float, times)), tuple(switches))

    @property
    def undisturbed(self) -> tuple[float, ...]:
        """Milliseconds of the calls during which no other process took the CPU away."""
        return tuple(time for time, count in zip(self.milliseconds, self.switches, strict=True) if not count)


@dataclass(frozen=True)
class TimedLoad:
    """Loading of a model while no other of the group was at work: its milliseconds, and those of CPU time in it."""

    milliseconds: float
    cpu_milliseconds: float

    def to_plain(self) -> dict[str, float]:
        """Return the load as JSON values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, document: Any) -> "TimedLoad":
        """Return the load that to_plain wrote. Raises ValueError for anything else."""
        if not isinstance(document, dict) or set(document) != {"milliseconds", "cpu_milliseconds"}:
            raise ValueError(f"expected a load, got {document!r}")
        if not all(_is_time(value) for value in document.values()):
            raise ValueError(f"expected the times of a load, got {document!r}")
        return cls(**document)


@dataclass(frozen=True)
class TurnLatency:
    """Latency of one model, from blocks of calls that alternate with those of other models.

    The percentiles and the spread are those of the `undisturbed` calls out of all `calls`: an involuntary context
    switch during a call means that another process took the CPU away, and its time is not the model's. Where every call
    was disturbed, they are those of all calls. `spread` is the interquartile range of the blocks' medians, as a share
    of their median; `switches_per_s` are the involuntary switches for each second of timed calls. `load_cpu_ms` is the
    CPU time in `load_ms`; the rest was spent waiting for a CPU or the disk.
    """

    latency_p10_ms: float
    latency_p50_ms: float
    latency_p99_ms: float
    spread: float
    switches_per_s: float
    blocks: int
    calls: int
    undisturbed: int
    load_ms: float
    load_cpu_ms: float

    @classmethod
    def of(cls, load: TimedLoad, blocks: Sequence[TimedBlock]) -> "TurnLatency":
        """Summarize the blocks of one model; there is at least one."""
        every = [time for block in blocks for time in block.milliseconds]
        switches = [count for block in blocks for count in block.switches]
        kept = [block.undisturbed for block in blocks if block.undisturbed] or [block.milliseconds for block in blocks]
        p10, p50, p99 = (float(value) for value in np.percentile(np.concatenate(kept), [10, 50, 99]))
        lower, middle, upper = np.percentile([np.median(times) for times in kept], [25, 50, 75])
        return cls(
            latency_p10_ms=p10,
            latency_p50_ms=p50,
            latency_p99_ms=p99,
            spread=float((upper - lower) / middle),
            switches_per_s=sum(switches) / (sum(every) / 1000),
            blocks=len(blocks),
            calls=len(every),
            undisturbed=switches.count(0),
            load_ms=load.milliseconds,
            load_cpu_ms=load.cpu_milliseconds,
        )

    @property
    def disturbance(self) -> str | None:
        """Return in words why the figures say more about the machine than about the model; None where they do not."""
        if self.undisturbed < ENOUGH:
            return f"{self.undisturbed} of {self.calls} calls kept the CPU, and at least {ENOUGH} must"
        if self.switches_per_s > MOST_SWITCHES_PER_S:
            return f"other processes took the CPU away {self.switches_per_s:.0f} times a second"
        ratios = (
            ("p50 over p10", self.latency_p50_ms / self.latency_p10_ms, MOST_P50_OVER_P10),
            ("the spread of its blocks", self.spread, MOST_SPREAD),
            ("p99 over p50", self.latency_p99_ms / self.latency_p50_ms, MOST_P99_OVER_P50),
        )
        return next(
            (f"{name} is {value:.2f}, and at most {most:g} compares" for name, value, most in ratios if value > most),
            None,
        )

    @property
    def load_disturbance(self) -> str | None:
        """Return in words why the load time says more about the machine than the model; None where it does not."""
        waited = self.load_ms - self.load_cpu_ms
        if waited <= MOST_WAITING_OF_LOAD * self.load_ms:
            return None
        return f"{waited:.1f} of its {self.load_ms:.1f} ms were spent waiting for a CPU or the disk"


def too_busy(latencies: Mapping[str, TurnLatency]) -> str | None:
    """Return in words why the machine was too busy to compare these models; None where their figures compare."""
    said = (f"{name}: {latency.disturbance}" for name, latency in latencies.items() if latency.disturbance)
    return next(said, None)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
