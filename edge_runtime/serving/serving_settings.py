"""Settings of serving; every one has a default that suits a small device."""

import math
from dataclasses import dataclass, fields

from edge_runtime.errors import ServingError


@dataclass(frozen=True)
class ServingSettings:
    """Bounds of every model's queue, and the times of serving.

    `most_waiting` requests of at most `most_waiting_mb` MiB wait for a model; one more is turned away at once.
    `deadline_s` is that of a request which names none. `window_ms` is how long a request may wait for others to run
    with; 0 is eager: what waits when the session is free runs together. Every `poll_s` the device's store is looked at.
    When a process ends, requests have `drain_s` to be answered. Raises ServingError for values that make no sense.
    """

    most_waiting: int = 256
    most_waiting_mb: float = 64.0
    deadline_s: float = 30.0
    window_ms: float = 0.0
    poll_s: float = 1.0
    drain_s: float = 10.0

    def __post_init__(self) -> None:
        bounds = {
            "most_waiting": (1, 1 << 20), "most_waiting_mb": (0.001, 1 << 20), "deadline_s": (0.001, 86400.0),
            "window_ms": (0.0, 100.0), "poll_s": (0.01, 3600.0), "drain_s": (0.0, 3600.0),
        }  # fmt: skip
        for name in (field.name for field in fields(self)):
            value, (least, most) = getattr(self, name), bounds[name]
            if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
                raise ServingError(f"{name} must be a number from {least:g} to {most:g}, not {value!r}.")
        if type(self.most_waiting) is not int:
            raise ServingError(f"most_waiting must be a whole number, not {self.most_waiting!r}.")
