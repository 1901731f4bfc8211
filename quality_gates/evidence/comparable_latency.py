"""Latency that compares: the candidate and its references, timed in turns, and the reasons why a figure does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_runtime.measurement import TurnLatency


@dataclass(frozen=True)
class LatencyInTurns:
    """Latency of the candidate, the parent and the deployed model, timed in turns on so many rows at a time.

    `latencies` are by role. A model that could not be timed is left out, and `failures` may say why in a sentence.
    """

    batch_size: int
    latencies: Mapping[str, TurnLatency]
    failures: Mapping[str, str] = field(default_factory=dict)

    def disturbance(self, resource: str, role: str = "candidate") -> str | None:
        """Return in words why a model's time says more about the machine than about the model; None where it counts."""
        latency = self.latencies.get(role)
        if latency is None:
            return self.failures.get(role, "it was not timed in turns")
        return latency.load_disturbance if resource == "load_ms" else latency.disturbance

    def ratio(self, resource: str, role: str) -> float | None:
        """Return the candidate's latency over that of a reference; None where the two do not compare.

        Load times are taken once, so they do not compare either, nor does a time that is not taken in turns.
        """
        ours, theirs = self.latencies.get("candidate"), self.latencies.get(role)
        if ours is None or theirs is None or ours.disturbance or theirs.disturbance:
            return None
        known = resource != "load_ms" and hasattr(ours, resource)
        return getattr(ours, resource) / getattr(theirs, resource) if known else None
