"""Channels of a module in code that must be removed together, found by torch-pruning's dependency graph."""

import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch_pruning as tp
from torch import Tensor, nn
from torch_pruning.dependency import graph as walks

from model_compression.errors import PruningError, cause_of
from model_compression.pruning.channel_groups import MIXERS, READERS, ROOTS, ChannelGroup, Part, Reader

STEPS_PER_DEPENDENCY = 10  # of a walk; one that ends takes each dependency once or, behind splits, a few times
FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # torch-pruning's, in graphs new to it
_REMEDY = "leave `channels` out of the recipe's `units`"


def _not_followed(error: Exception) -> PruningError:
    return PruningError(
        f"expected to follow the model's channels from layer to layer, got {cause_of(error)}; {_REMEDY}"
    )


class Dependencies:
    """The channels of one model. They stay in step with it while channels are removed through `remove`."""

    def __init__(self, model: nn.Module, example: tuple[Tensor, ...]) -> None:
        self.model = model
        self._names = {module: name for name, module in model.named_modules()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._graph = tp.DependencyGraph().build_dependency(model, example_inputs=example)
            except FAULTS as error:
                raise _not_followed(error) from error

    def channel_groups(self, kept: Collection[str] = ()) -> Iterator[ChannelGroup]:
        """Yield every group that has none of the layers in `kept`. Raises PruningError for a walk without an end."""
        ignored = [self.model.get_submodule(name) for name in kept]
        with self._bounded():
            found = list(self._graph.get_all_groups(ignored_layers=ignored, root_module_types=ROOTS))
        for group in found:
            yield self._channel_group(group)

    def remove(self, layer: str, channels: Sequence[int]) -> None:
        """Remove output channels of a layer, and everything that depends on them, in place.

        Raises AttributeError for an unknown layer, ValueError for channels that it does not have or for all of them,
        PruningError for a walk without an end.
        """
        module = self.model.get_submodule(layer)
        pruner = self._graph.get_pruner_of_module(module)
        width = pruner.get_out_channels(module)
        if not set(channels) < set(range(width)):
            raise ValueError(f"expected some of the channels 0 to {width - 1} of {layer}, got {sorted(channels)}")
        with self._bounded():
            group = self._graph.get_pruning_group(module, pruner.prune_out_channels, list(channels))
        group.prune(record_history=False)

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Let a walk end with PruningError after more steps than any that ends by itself takes.

        torch-pruning goes round and round in a graph where channels come back in another order, as with rotary
        embeddings. Each of its steps adds an entry to a group.
        """
        most = STEPS_PER_DEPENDENCY * sum(len(node.dependencies) for node in self._graph.module2node.values())

        class Bounded(walks.Group):  # type: ignore[misc]
            def add_dep(self, dep: Any, idxs: Any) -> None:
                if len(self) > most:
                    raise PruningError(
                        "expected to follow the model's channels from layer to layer, got no end after "
                        f"{most:,} steps; {_REMEDY}"
                    )
                super().add_dep(dep, idxs)

        whole, walks.Group = walks.Group, Bounded
        try:
            yield
        except FAULTS as error:
            raise _not_followed(error) from error
        finally:
            walks.Group = whole

    def _channel_group(self, group: Any) -> ChannelGroup:
        ends = [(item.dep.target.module, item.dep.handler) for item in group]
        return ChannelGroup(
            layer=self._names[ends[0][0]],
            width=len(group[0].idxs),
            blocks=math.lcm(*(self._blocks(module, prune) for module, prune in ends)),
            mixes=any(isinstance(module, MIXERS) for module, _ in ends),
            readers=tuple(self._readers(group)),
            parts=tuple(self._parts(group)),
            makers=tuple(self._makers(group)),
        )

    def _makers(self, group: Any) -> Iterator[str]:
        for item in group:
            module, same_order = item.dep.target.module, list(item.idxs) == list(item.root_idxs)
            if isinstance(module, ROOTS) and self._graph.is_out_channel_pruning_fn(item.dep.handler) and same_order:
                yield self._names[module]

    def _parts(self, group: Any) -> Iterator[Part]:
        for item in group:
            module, prune = item.dep.target.module, item.dep.handler
            if isinstance(module, nn.Module) and module in self._names:
                pruner = self._graph.get_pruner_of_module(module)
                of_outputs = self._graph.is_out_channel_pruning_fn(prune)
                width = pruner.get_out_channels(module) if of_outputs else pruner.get_in_channels(module)
                if width:
                    share = len(item.idxs) / len(set(item.root_idxs)) / width
                    yield Part(self._names[module], of_outputs, share)

    def _readers(self, group: Any) -> Iterator[Reader]:
        for item in group:
            module, prune = item.dep.target.module, item.dep.handler
            if isinstance(module, READERS) and not self._graph.is_out_channel_pruning_fn(prune):
                yield Reader(self._names[module], list(item.idxs), list(item.root_idxs))

    def _blocks(self, module: Any, prune: Any) -> int:
        """Count the equal parts in which a layer reads or writes its channels.

        A depthwise convolution counts as 1.
        """
        if not isinstance(module, nn.Module) or getattr(module, "groups", 1) == getattr(module, "out_channels", None):
            return 1
        pruner = self._graph.get_pruner_of_module(module)
        if self._graph.is_out_channel_pruning_fn(prune):
            return int(pruner.get_out_channel_groups(module))
        return int(pruner.get_in_channel_groups(module))
