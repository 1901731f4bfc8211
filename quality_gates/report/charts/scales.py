"""Scales: from a value to a coordinate, and the ticks that a reader can name."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] onto [start, end]: linear, log, or asinh (linear within `knee` of zero, log-like beyond)."""

    low: float
    high: float
    start: float
    end: float
    kind: Literal["linear", "log", "asinh"] = "linear"
    knee: float = 1.0

    def __call__(self, value: float) -> float:
        """The coordinate of a value; values outside of the domain land outside of the range."""
        low, high = self._warp(self.low), self._warp(self.high)
        return self.start + (self._warp(value) - low) / (high - low) * (self.end - self.start)

    def _warp(self, value: float) -> float:
        if self.kind == "log":
            return math.log10(value)
        return math.asinh(value / self.knee) if self.kind == "asinh" else value


def linear_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high], at most about `count` of them."""
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(index * step, 12) for index in range(first, last + 1))


def round_values(low: float, high: float) -> tuple[float, ...]:
    """All of 1, 2, 5 times a power of ten within [low, high], for positive bounds."""
    exponents = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    values = (nice * 10.0**exponent for exponent in exponents for nice in (1, 2, 5))
    return tuple(value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9))


def spaced(values: tuple[float, ...], scale: Scale, gap: float, taken: tuple[float, ...] = ()) -> tuple[float, ...]:
    """The values, most important first, that stay at least `gap` units from each other and from the `taken` places."""
    places, kept = list(taken), []
    for value in values:
        place = scale(value)
        if all(abs(place - other) >= gap for other in places):
            places.append(place)
            kept.append(value)
    return tuple(kept)
