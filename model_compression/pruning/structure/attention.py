"""Attention heads: found in a graph, each with its rows and columns of the layers around it.

An attention's core is one operator, or the products around a softmax. Numbers that stand for features are followed from
the layers before it to the layer behind it, so a head is found however views and transposes were written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.intake import ScaledDotProductAttention, aten
from model_compression.pruning.structure.observation import (
    MOVES,
    STAYS,
    Values,
    calls,
    features,
    follow,
    layer_of,
    reads_sizes_only,
    way_back,
)

PRODUCTS = {aten.matmul.default, aten.bmm.default}
PRODUCT_AND_SUM = aten.baddbmm.default
SOFTMAX = {aten.softmax.int, aten._softmax.default}
OPERATORS = {aten.scaled_dot_product_attention.default, PRODUCT_AND_SUM, *PRODUCTS, *SOFTMAX}
"""Operators between an attention's layers, where it spends its time."""
ELEMENTWISE = {
    aten.add.Tensor,
    aten.add_.Tensor,
    aten.sub.Tensor,
    aten.mul.Tensor,
    aten.mul_.Tensor,
    aten.div.Tensor,
    aten.div_.Tensor,
    aten.masked_fill.Scalar,
    aten.masked_fill_.Scalar,
    aten.where.self,
    aten.where.ScalarOther,
    aten.where.ScalarSelf,
    aten.to.dtype,
    aten.clamp.default,
    aten.maximum.default,
    aten.logical_not.default,
    aten.logical_or.default,
    aten.logical_and.default,
}
SIDES = ("query", "key", "value")


@dataclass(frozen=True)
class Core:
    """The operators of one attention, with the nodes that it takes. Features are in the last dimension.

    Where `key_is_transposed`, the key has its features in the last dimension but one. `masks` are added to or put into
    the scores. `operators` are the products and the softmax; `node` is the last of them.
    """

    node: fx.Node
    query: fx.Node
    key: fx.Node
    value: fx.Node
    key_is_transposed: bool
    masks: tuple[fx.Node, ...]
    operators: tuple[fx.Node, ...]


def cores(model: fx.GraphModule) -> Iterator[Core]:
    """Yield the attentions of a graph in the order in which they run."""
    for node in model.graph.nodes:
        if node.target is aten.scaled_dot_product_attention.default or layer_of(model, node, ScaledDotProductAttention):
            arguments: list[Any] = list(node.args)
            query, key, value, *rest = arguments
            mask = rest[0] if rest else node.kwargs.get("attn_mask")
            yield Core(node, query, key, value, False, (mask,) if isinstance(mask, fx.Node) else (), (node,))
        elif node.target in PRODUCTS and (softmax := _softmax_behind(model, node.args[0])) is not None:
            scores, masks = _scores(softmax.args[0])
            if scores is not None:
                query, key, value = [*scores.args[-2:], node.args[1]]
                yield Core(node, query, key, value, True, masks, (scores, softmax, node))  # type: ignore[arg-type]


def _softmax_behind(model: fx.GraphModule, node: Any) -> fx.Node | None:
    while isinstance(node, fx.Node) and (layer_of(model, node, nn.Dropout) or node.target in (aten.to.dtype,)):
        node = node.args[0]
    if not isinstance(node, fx.Node):
        return None
    return node if node.target in SOFTMAX or layer_of(model, node, nn.Softmax) else None


def _scores(node: Any) -> tuple[fx.Node | None, tuple[fx.Node, ...]]:
    """Return the product of queries and keys before a softmax, and all other inputs of its argument."""
    masks: list[fx.Node] = []
    while isinstance(node, fx.Node) and node.target in ELEMENTWISE | {aten.view.default, aten.reshape.default}:
        ahead = next((each for each in node.all_input_nodes if _leads_to_product(each)), None)
        masks += [each for each in node.all_input_nodes if each is not ahead]
        node = ahead
    if not isinstance(node, fx.Node) or node.target not in PRODUCTS | {PRODUCT_AND_SUM}:
        return None, ()
    if node.target is PRODUCT_AND_SUM:
        masks.append(node.args[0])  # type: ignore[arg-type]
    return node, tuple(masks)


def _leads_to_product(node: fx.Node) -> bool:
    while node.target in ELEMENTWISE and isinstance(node.args[0], fx.Node):
        node = node.args[0]
    return node.target in PRODUCTS | {PRODUCT_AND_SUM}


@dataclass(frozen=True)
class Head:
    """One head: its outputs (rows) of the layers before it, and its inputs (columns) of the layer behind it."""

    rows: dict[str, list[int]]
    columns: list[int]


@dataclass(frozen=True)
class Attention:
    """The heads of one attention; `name` is the layer that reads them.

    `heads_at` gives, for each node between the layers, the head that each element belongs to. `core` is the last of the
    `operators`, where the heads' tokens meet. Heads that share keys and values (grouped queries) count as one.
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
    """The heads of an attention cannot be told apart; the message says why."""


def attentions(model: fx.GraphModule, values: Values) -> tuple[list[Attention], dict[str, str]]:
    """Find the heads of every attention in a graph that was observed.

    Returns the attentions, and a reason for each attention whose heads cannot be told apart, by its node's name.
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
    """Return the maker's output row of each feature, shape (places, features).

    A place is one head in one row of the batch.
    """
    numbers: Tensor = rows[getattr(core, side)]
    if side == "key" and core.key_is_transposed:
        numbers = numbers.transpose(-1, -2)
    numbers = numbers.reshape(-1, *numbers.shape[-2:])
    if not (numbers == numbers[:, :1]).all():
        raise NotFoundError(f"the features of its {side} differ from token to token")
    return numbers[:, 0].long()


def _joined(made: list[Tensor]) -> Tensor:
    """Assign numbers to the heads: places that share a row are one head. Shape (places,)."""
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
            numbers: Tensor = torch.unique(heads, return_inverse=True)[1]
            return numbers


def _at_core(place_heads: Tensor, value: Tensor) -> Tensor:
    leading = value.shape[:-2]
    if leading.numel() != len(place_heads):
        raise NotFoundError("what it gives has another number of heads than what it takes")
    return place_heads.view(*leading, 1, 1).expand(value.shape).double()


def _reader(model: fx.GraphModule, after: dict[fx.Node, Any]) -> tuple[fx.Node, Tensor]:
    """Return the linear layer that reads all heads, and the head of each of its inputs."""
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
    """Map each maker to the head of each of its outputs, -1 for none; a fused layer makes all three."""
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


def heads_of_masks(model: fx.GraphModule, values: Values, core: Core, place_heads: Tensor) -> dict[fx.Node, Any]:
    """Return the head of each element at the nodes that spread a core's masks over its heads.

    Empty where broadcasting makes the masks the same for all heads.
    """
    found: dict[fx.Node, Any] = {}
    for mask in core.masks:
        behind = _behind(mask)
        for node, dim in _spreads(values, behind):
            shape = values[node].shape
            numbers = torch.arange(shape[dim], dtype=torch.float64).view(-1, *[1] * (len(shape) - dim - 1))
            reached = _through(model, values, {node: numbers.expand(shape)}, behind)
            if mask in reached and _is_by_head(reached[mask], place_heads):
                found |= reached
    return found


def _behind(mask: fx.Node) -> set[fx.Node]:
    pending, behind = [mask], set()
    while pending:
        node = pending.pop()
        if node not in behind and (node.target in MOVES or node.target in STAYS or node.target in ELEMENTWISE):
            behind.add(node)
            pending.extend(node.all_input_nodes)
    return behind


def _spreads(values: Values, nodes: set[fx.Node]) -> Iterator[tuple[fx.Node, int]]:
    for node in nodes:
        if node.target is not aten.expand.default:
            continue
        before, after = values[node.args[0]].shape, values[node].shape  # type: ignore[index]
        new = len(after) - len(before)
        for dim, size in enumerate(after):
            if size > 1 and (dim < new or before[dim - new] == 1):
                yield node, dim


def _through(
    model: fx.GraphModule, values: Values, seeds: dict[fx.Node, Any], nodes: set[fx.Node]
) -> dict[fx.Node, Any]:
    """Follow the numbers inside `nodes`, also through sums with values that are the same for all heads."""
    reached = {node: numbers for node, numbers in follow(model, values, seeds).items() if node in nodes}
    for node in model.graph.nodes:
        sources = [each for each in node.all_input_nodes if each in reached]
        if node in nodes and node not in reached and len(sources) == 1 and node.target in ELEMENTWISE:
            spread = torch.broadcast_to(reached[sources[0]], values[node].shape)
            return _through(model, values, {**reached, node: spread}, nodes)
    return reached


def _is_by_head(numbers: Tensor, place_heads: Tensor) -> bool:
    """Tell whether the numbers separate the heads in the way that the attention's places do."""
    places = numbers.reshape(-1, *numbers.shape[-2:]) if numbers.dim() > 2 else numbers[None]
    if len(places) != len(place_heads) or not (places == places[:, :1, :1]).all():
        return False
    pairs = torch.stack([places[:, 0, 0].long(), place_heads], 1).unique(dim=0)
    return len(pairs) == int(place_heads.max()) + 1 == len(pairs[:, 0].unique())
