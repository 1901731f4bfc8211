"""A wanted run: a version that wants an answer under a recipe, on which devices, and why."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceReason:
    """A device of a recipe and the reason why it wants an answer, or why it wants none."""

    device: str
    why: str


@dataclass(frozen=True)
class WantedRun:
    """A version that wants an answer under a recipe, and why; what changed since the last answer is its `mark`.

    `recipe` is the recipe as a run is told it. With `again`, answers that stand are asked for all the same; with
    `back`, an older version may replace a newer one.
    """

    model: str
    version: str
    recipe: str
    cause: str
    mark: str
    again: bool = False
    back: bool = False
    devices: tuple[DeviceReason, ...] = ()

    @property
    def key(self) -> str:
        """The digest that all attempts at it share: of everything but the words of its cause."""
        said = json.dumps([self.model, self.version, self.recipe, self.mark, self.again, self.back])
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    @property
    def parameters(self) -> dict[str, str | bool]:
        """The parameters of the flow."""
        flags = {"again": self.again, "back": self.back}
        said = {"model": self.model, "version": self.version, "recipe": self.recipe, "cause": self.cause}
        return {**said, **{name: True for name, asked in flags.items() if asked}}


def in_one(reasons: Sequence[DeviceReason]) -> str:
    """Return the reasons of several devices as one sentence; a reason that several share is said once."""
    by_reason: dict[str, list[str]] = {}
    for each in reasons:
        by_reason.setdefault(each.why, []).append(each.device)
    if len(by_reason) == 1:
        return next(iter(by_reason))
    return "; ".join(f"{', '.join(devices)}: {why}" for why, devices in by_reason.items())
