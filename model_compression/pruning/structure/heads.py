"""Removal of attention heads: layers lose rows and columns, and literal sizes in the graph are updated."""

from collections.abc import Collection

from torch import Tensor, fx

from model_compression.pruning.structure.attention import attentions
from model_compression.pruning.structure.channel_paths import channel_flow
from model_compression.pruning.structure.channel_removal import remove_classes
from model_compression.pruning.structure.observation import observe


def remove_heads(model: fx.GraphModule, example: tuple[Tensor, ...], name: str, gone: Collection[int]) -> None:
    """Remove heads, by their numbers, from the attention whose reading layer is `name`, in place.

    Raises ValueError for an unknown attention, for heads that it does not have or for all of them, and PruningError
    where the remaining heads do not fit the graph's layout.
    """
    flow = channel_flow(model, observe(model, example))
    found, _ = attentions(model, flow)
    attention = next((each for each in found if each.name == name), None)
    if attention is None or not set(gone) < set(range(len(attention.heads))):
        have = f"{len(attention.heads)} heads" if attention else "no attention"
        raise ValueError(f"expected some of the heads of {name}, got {sorted(gone)} where there are {have}")
    remove_classes(model, flow, {attention.classes[number] for number in gone})
