"""Groups of channels that can only be removed together, with the layers that make and read them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

READERS = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True)
class Reader:
    """A layer that reads the channels of a group: its input `inputs[i]` carries channel `channels[i]`."""

    layer: str
    inputs: list[int]
    channels: list[int]


@dataclass(frozen=True)
class Part:
    """A layer that loses a share of its outputs, or of its inputs, with each channel of a group.

    `share` is that of a mean channel, and `shares` that of each, where they differ.
    """

    layer: str
    of_outputs: bool
    share: float
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class ChannelGroup:
    """Units of channels that compete for what stays of their layers.

    A unit has the channels of each layer that can only be removed together: as residual sums, depthwise and grouped
    convolutions, shuffles and gates ask for. `layer` is the name of one of the layers, `makers` are those that make the
    channels. Where the group `mixes`, a norm over the channels makes the others depend on what is removed. Readers'
    channels are numbers of units. `parts` are all layers that get smaller with the group.
    """

    layer: str
    width: int
    mixes: bool
    readers: tuple[Reader, ...]
    parts: tuple[Part, ...] = ()
    makers: tuple[str, ...] = ()
    units: tuple[dict[str, tuple[int, ...]], ...] = ()

    @property
    def unit_size(self) -> int:
        """The channels of one layer that go with one unit: the most of any unit."""
        return max((len(places) for unit in self.units for places in unit.values()), default=1)

    def leaving(self, numbers: Sequence[int], share: float) -> list[int]:
        """Return those units, in their order, that leave each layer a share of what it makes and reads."""
        takes = [Counter({(path, "makes"): len(places) for path, places in unit.items()}) for unit in self.units]
        for reader in self.readers:
            for unit in reader.channels:
                takes[unit][reader.layer, "reads"] += 1
        whole = sum(takes, Counter[tuple[str, str]]())
        left, found = whole.copy(), []
        for number in numbers:
            if all(left[each] - count >= max(1, share * whole[each]) for each, count in takes[number].items()):
                left.subtract(takes[number])
                found.append(number)
        return found
