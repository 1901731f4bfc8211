"""Figures that were measured again in fresh processes, so that their noise is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RepeatedFigures:
    """The candidate's figures in several fresh processes, of so many rows at a time; `values` are by resource.

    `disturbances` say in words why a resource in one of the processes tells more about the machine than the model.
    """

    batch_size: int
    values: Mapping[str, tuple[float, ...]]
    disturbances: Mapping[str, str] = field(default_factory=dict)
