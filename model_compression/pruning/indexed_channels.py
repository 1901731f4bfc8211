"""Channels of a rebuilt program that must be removed together, found by sending indices through its graph."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, fx

from model_compression.pruning.channel_groups import READERS, ChannelGroup, Part, Reader
from model_compression.pruning.structure import Values, channel_flow, observe, remove_classes


class IndexedChannels:
    """The channels of one rebuilt program. They stay in step with it while channels are removed."""

    def __init__(self, model: fx.GraphModule, example: tuple[Tensor, ...], values: Values | None = None) -> None:
        """Walk through a graph; `values` are those of its nodes on the example, where they are known."""
        self.model, self.example = model, example
        self.flow = channel_flow(model, observe(model, example) if values is None else values)

    def channel_groups(self, kept: Collection[str] = ()) -> Iterator[ChannelGroup]:
        """Yield every group of units that compete, without those that have a layer of `kept`."""
        made = {path: set(labels.tolist()) for path, labels in self.flow.outputs.items()}
        read = {path: set(labels.tolist()) for path, labels in self.flow.inputs.items()}
        for classes in self._competing():
            makers, readers = (
                [path for path, labels in each.items() if not labels.isdisjoint(classes)] for each in (made, read)
            )
            if not set(makers) & set(kept):
                yield self._group(classes, makers, readers)

    def staying(self) -> dict[str, str]:
        """Return the layers whose outputs all stay, with the reason."""
        return {
            path: self.flow.why.get(path, "what reads them treats channels in a way of its own")
            for path, made in self.flow.outputs.items()
            if not made.any()
        }

    def remove(self, channels: Mapping[str, Sequence[int]]) -> None:
        """Remove output channels of layers, and everything that depends on them, in place.

        Raises ValueError for an unknown layer, for channels that it does not have, and for those that must stay.
        """
        self.remove_from(self.model, channels)
        self.flow = channel_flow(self.model, observe(self.model, self.example))

    def remove_from(self, model: fx.GraphModule, channels: Mapping[str, Sequence[int]]) -> None:
        """Remove channels from a copy of the model, in place."""
        gone: set[int] = set()
        for layer, indices in channels.items():
            made = self.flow.outputs.get(layer)
            if made is None or not set(indices) <= set(range(len(made))):
                have = "no channels" if made is None else f"the channels 0 to {len(made) - 1}"
                raise ValueError(
                    f"expected a layer with channels to remove, got {layer} with {have}: {sorted(indices)}"
                )
            gone |= set(made[list(indices)].tolist())
        for layer in channels:
            made = self.flow.outputs[layer]
            if 0 in gone or set(made.tolist()) <= gone:
                raise ValueError(f"expected some of the channels 0 to {len(made) - 1} of {layer} that may go, got all")
        remove_classes(model, self.flow, gone)

    def classes_of(self, units: Iterable[Mapping[str, Sequence[int]]]) -> set[int]:
        """Return the labels of units of a group, which are given by one or more layers that make them."""
        return {int(self.flow.outputs[path][places[0]]) for unit in units for path, places in unit.items()}

    def remove_classes_from(self, model: fx.GraphModule, classes: Collection[int]) -> None:
        """Remove all that goes with some labels from a copy of the model, in place."""
        remove_classes(model, self.flow, classes)

    def _competing(self) -> Iterator[list[int]]:
        """Yield the classes that share layers, which compete for what stays of them."""
        together: list[set[int]] = []
        for made in self.flow.outputs.values():
            classes = set(made.unique().tolist()) - {0}
            for other in [each for each in together if each & classes]:
                together.remove(other)
                classes |= other
            if classes:
                together.append(classes)
        yield from (sorted(classes) for classes in together)

    def _group(self, classes: list[int], makers: list[str], readers: list[str]) -> ChannelGroup:
        places = {path: _places(self.flow.outputs[path]) for path in makers}
        units = tuple({path: at[each] for path, at in places.items() if each in at} for each in classes)
        return ChannelGroup(
            layer=makers[0],
            width=len(units),
            mixes=self.flow.labels.is_mixed(classes),
            readers=tuple(self._readers(classes, readers)),
            parts=tuple(self._parts(classes, makers, readers)),
            makers=tuple(makers),
            units=units,
        )

    def _readers(self, classes: list[int], readers: list[str]) -> Iterator[Reader]:
        number = {each: index for index, each in enumerate(classes)}
        for path in readers:
            read = self.flow.inputs[path]
            if isinstance(self.model.get_submodule(path), READERS) and not self._is_depthwise(path):
                found = [(index, number[each]) for index, each in enumerate(read.tolist()) if each in number]
                if found:
                    yield Reader(path, [index for index, _ in found], [unit for _, unit in found])

    def _is_depthwise(self, path: str) -> bool:
        module = self.model.get_submodule(path)
        groups = getattr(module, "groups", 1)
        return bool(groups > 1 and groups == getattr(module, "in_channels", None))

    def _parts(self, classes: list[int], makers: list[str], readers: list[str]) -> Iterator[Part]:
        wanted = torch.tensor(classes)
        for paths, kind, of_outputs in ((makers, self.flow.outputs, True), (readers, self.flow.inputs, False)):
            for path in paths:
                labels = kind[path]
                counts = (labels[:, None] == wanted).sum(0)
                count = int(counts.sum())
                as_norm = not of_outputs and not isinstance(self.model.get_submodule(path), READERS)
                if count and not (not of_outputs and self._is_depthwise(path)):
                    shares = (counts / len(labels)).tolist()
                    mean = count / len(classes) / len(labels)
                    yield Part(self._table(path), of_outputs or as_norm, mean, tuple(shares))

    def _table(self, path: str) -> str:
        return f"{path}.table" if hasattr(self.model.get_submodule(path), "table") else path


def _places(made: Tensor) -> dict[int, tuple[int, ...]]:
    """Return the places of each label."""
    found: dict[int, list[int]] = {}
    for place, label in enumerate(made.tolist()):
        found.setdefault(label, []).append(place)
    return {label: tuple(places) for label, places in found.items()}
