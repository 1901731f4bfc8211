"""Attention heads: which rows and columns of which layers each of them is."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.pruning.structure.cores import Core, cores
from model_compression.pruning.structure.index_flow import features, follow, way_back
from model_compression.pruning.structure.masks import heads_of_masks
from model_compression.pruning.structure.observation import Values, calls, layer_of, reads_sizes_only

SIDES = ("query", "key", "value")


@dataclass(frozen=True)
class Head:
    """Outputs (rows) of the layers that make a head's queries, keys and values; inputs of the layer that reads it."""

    rows: dict[str, list[int]]
    columns: list[int]


@dataclass(frozen=True)
class Attention:
    """The heads of one attention, by the name of the layer that reads them.

    `heads_at` says for each node between those layers which head an element belongs to; `core` is where they meet, the
    last of the `operators` that mix the places.
    Heads that share keys and values (grouped queries) are one.
    """

    name: str
    core: fx.Node
    heads: tuple[Head, ...]
    heads_at: dict[fx.Node, Any]
    operators: tuple[fx.Node, ...]

    @property
    def makers(self) -> list[str]:
        """The layers that make queries, keys and values."""
        return list(dict.fromkeys(layer for head in self.heads for layer in head.rows))


class NotFoundError(Exception):
    """Why the heads of an attention cannot be told apart."""


def attentions(model: fx.GraphModule, values: Values) -> tuple[list[Attention], dict[str, str]]:
    """Find the heads of every attention in a graph that was observed.

    Returns the attentions, and for those whose heads cannot be told apart the node's name and why.
    """
    linears = [node for node in model.graph.nodes if layer_of(model, node, nn.Linear)]
    rows = follow(model, values, {node: features(values[node]) for node in linears})
    found, unknown = [], {}
    for core in cores(model):
        try:
            found.append(_attention(model, values, core, rows))
        except NotFoundError as error:
            unknown[core.node.name] = str(error)
    return found, unknown


def _attention(model: fx.GraphModule, values: Values, core: Core, rows: dict[fx.Node, Any]) -> Attention:
    makers = [_maker(model, values, core, side, rows) for side in SIDES]
    made = [_rows_by_place(core, side, rows) for side in SIDES]
    place_heads = _joined(made)
    after = follow(model, values, {core.node: _at_core(place_heads, values[core.node])})
    reader, read = _reader(model, after)
    owners = _owners(values, makers, made, place_heads)
    before = {
        node: _by_owner(owners[maker], rows[node])
        for side, maker in zip(SIDES, makers, strict=True)
        for node in way_back(model, values, getattr(core, side))
    }
    heads = tuple(_head(number, owners, read) for number in range(int(place_heads.max()) + 1))
    masks = heads_of_masks(model, values, core, place_heads)
    return Attention(str(reader.target), core.node, heads, {**before, **masks, **after}, core.operators)


def _maker(model: fx.GraphModule, values: Values, core: Core, side: str, rows: dict[fx.Node, Any]) -> fx.Node:
    last = way_back(model, values, getattr(core, side))[-1]
    if getattr(core, side) not in rows or layer_of(model, last, nn.Linear) is None:
        raise NotFoundError(f"its {side} is made by {last.name}, which is no linear layer")
    if calls(model, str(last.target)) > 1:
        raise NotFoundError(f"the layer {last.target}, which makes its {side}, is called more than once")
    return last


def _rows_by_place(core: Core, side: str, rows: dict[fx.Node, Any]) -> Tensor:
    """The layer's output for each feature, shape (places, features): a place is a head in a row of the batch."""
    numbers = rows[getattr(core, side)]
    if side == "key" and core.key_is_transposed:
        numbers = numbers.transpose(-1, -2)
    numbers = numbers.reshape(-1, *numbers.shape[-2:])
    if not (numbers == numbers[:, :1]).all():
        raise NotFoundError(f"the features of its {side} differ from token to token")
    return numbers[:, 0].long()


def _joined(made: list[Tensor]) -> Tensor:
    """Number the heads: places that have a row in common are one head."""
    places = len(made[0])
    if any(len(rows) != places for rows in made):
        raise NotFoundError("queries, keys and values differ in their number of heads")
    heads = torch.arange(places)
    while True:
        before = heads
        for rows in made:
            first = torch.full((int(rows.max()) + 1,), places).scatter_reduce(
                0, rows.flatten(), heads.repeat_interleave(rows.shape[1]), "amin"
            )
            heads = first[rows].amin(1)
        if torch.equal(before, heads):
            return torch.unique(heads, return_inverse=True)[1]


def _at_core(place_heads: Tensor, value: Tensor) -> Tensor:
    leading = value.shape[:-2]
    if leading.numel() != len(place_heads):
        raise NotFoundError("what it gives has another number of heads than what it takes")
    return place_heads.view(*leading, 1, 1).expand(value.shape).double()


def _reader(model: fx.GraphModule, after: dict[fx.Node, Any]) -> tuple[fx.Node, Tensor]:
    """The linear layer that reads all heads, and which head each of its inputs is."""
    readers = {user for node in after for user in node.users if user not in after and not reads_sizes_only(user)}
    if len(readers) != 1:
        names = ", ".join(sorted(node.name for node in readers))
        raise NotFoundError(f"what its heads make is read in {len(readers)} places ({names}), not in one")
    (reader,) = readers
    if layer_of(model, reader, nn.Linear) is None or calls(model, str(reader.target)) > 1:
        raise NotFoundError(f"what its heads make is read by {reader.name}, which is no linear layer of its own")
    heads = after[reader.args[0]]  # type: ignore[index]
    heads = heads.reshape(-1, heads.shape[-1])
    if not (heads == heads[:1]).all():
        raise NotFoundError(f"{reader.target} does not read every token's heads in the same places")
    return reader, heads[0].long()


def _owners(values: Values, makers: list[fx.Node], made: list[Tensor], place_heads: Tensor) -> dict[fx.Node, Tensor]:
    """Which head each output of each layer belongs to, -1 for none; a fused layer makes all three."""
    owners = {maker: torch.full((values[maker].shape[-1],), -1) for maker in makers}
    for maker, rows in zip(makers, made, strict=True):
        owners[maker][rows.flatten()] = place_heads.repeat_interleave(rows.shape[1])
    return owners


def _by_owner(owner: Tensor, numbers: Any) -> Any:
    if isinstance(numbers, Tensor):
        return owner[numbers.long()]
    return tuple(owner[part.long()] for part in numbers)


def _head(number: int, owners: dict[fx.Node, Tensor], read: Tensor) -> Head:
    rows = {str(maker.target): (owner == number).nonzero().flatten().tolist() for maker, owner in owners.items()}
    return Head(rows, (read == number).nonzero().flatten().tolist())
