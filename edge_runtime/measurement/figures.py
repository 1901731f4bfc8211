"""Resource figures of a model on a device: one record of the numbers and, with each field, a description of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class Resource:
    """Description of one figure: how people read it, and what gates, search and pruning may do with it.

    `less` and `more` say how a smaller and a larger figure compare, such as faster and slower. `may_be_zero` is set
    where a measurement of 0 is possible, `batched` where the figure depends on how many rows are predicted at a time,
    `noisy` where two measurements of one file differ in the third digit. `objective` describes the best file by this
    figure; None: a search cannot choose by it. `weighed_as` names the cost of units that pruning weighs to reduce the
    figure; None: pruning cannot reduce it.
    """

    title: str
    unit: Literal["bytes", "MiB", "ms", "mJ"]
    less: str
    more: str
    may_be_zero: bool = False
    batched: bool = False
    noisy: bool = False
    everywhere: bool = True
    objective: str | None = None
    weighed_as: Literal["bytes", "memory", "latency"] | None = None

    @property
    def is_time(self) -> bool:
        """True for a time: another process can make it longer, and two of them compare only where taken in turns."""
        return self.unit == "ms"

    @property
    def varies(self) -> bool:
        """True for a figure that each process measures a little differently: all but the size of a file."""
        return self.unit != "bytes"

    @property
    def budget(self) -> str:
        """Name of the gate that a device's budget of this resource becomes."""
        return f"{self.title[0].lower()}{self.title[1:]} budget"


def _described(resource: Resource) -> Mapping[str, Any]:
    return {"resource": resource}


@dataclass(frozen=True)
class Figures:
    """Figures of one file, measured on one device profile; latency is that of one row at a time unless said otherwise.

    Memory is the peak of the whole process in MiB (2**20 bytes), as the kernel counts resident memory. Its growth is
    that peak without what the bare runtime had before it loaded the model. Energy is that of the whole machine while
    rows are answered, of its CPU packages and of the memory beside them, and None where no counter can be read. A
    figure that is added here may be None and is so by default, so that records from before it can still be read.
    """

    size_bytes: float = field(
        metadata=_described(
            Resource("File size", "bytes", "smaller", "larger", objective="the smallest file", weighed_as="bytes")
        )
    )
    peak_rss_mb: float = field(
        metadata=_described(
            Resource(
                "Peak memory", "MiB", "smaller", "larger", may_be_zero=True, noisy=True,
                objective="the lowest peak memory", weighed_as="memory",
            )
        )
    )  # fmt: skip
    load_ms: float = field(metadata=_described(Resource("Load time", "ms", "faster", "slower")))
    latency_p50_ms: float = field(
        metadata=_described(
            Resource(
                "Latency p50", "ms", "faster", "slower", batched=True, noisy=True,
                objective="the lowest median latency", weighed_as="latency",
            )
        )
    )  # fmt: skip
    latency_p99_ms: float = field(
        metadata=_described(
            Resource("Latency p99", "ms", "faster", "slower", batched=True, noisy=True, weighed_as="latency")
        )
    )

    growth_mb: float | None = field(
        default=None,
        metadata=_described(
            Resource("Memory growth", "MiB", "smaller", "larger", may_be_zero=True, noisy=True, weighed_as="memory")
        ),
    )

    energy_mj: float | None = field(
        default=None,
        metadata=_described(Resource("Energy of a row", "mJ", "lower", "higher", noisy=True, everywhere=False)),
    )
    memory_energy_mj: float | None = field(
        default=None,
        metadata=_described(
            Resource("Energy of a row in memory", "mJ", "lower", "higher", noisy=True, everywhere=False)
        ),
    )

    @property
    def known(self) -> Mapping[str, float]:
        """The figures that were measured, by name."""
        return {each.name: figure for each in fields(self) if (figure := getattr(self, each.name)) is not None}

    def value(self, resource: str) -> float:
        """Return one figure by the name of its resource; NaN, which no gate passes, where a record does not have it."""
        figure = getattr(self, resource)
        return math.nan if figure is None else float(figure)


RESOURCES: Mapping[str, Resource] = MappingProxyType({each.name: each.metadata["resource"] for each in fields(Figures)})
"""All resources by name, in the order in which people read them."""

LIMITED = tuple(name for name, resource in RESOURCES.items() if resource.everywhere)
"""Names of the resources that gates and budgets can limit."""
