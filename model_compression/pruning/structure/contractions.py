"""Rules for products of computed values, as attention has them: matmul, bmm, einsum and the fused operator.

In a product, places that all sides and the result have are apart from each other: heads. What is summed over there, and
what only one side has, goes with its head.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from model_compression.intake import ScaledDotProductAttention, aten
from model_compression.pruning.structure.channel_walk import ChannelWalk
from model_compression.pruning.structure.labels import varying

PRODUCTS = {aten.matmul.default, aten.bmm.default, aten.mm.default}
PRODUCT_AND_SUM = aten.baddbmm.default
EINSUM = aten.einsum.default
FUSED = aten.scaled_dot_product_attention.default
CONTRACTIONS = {*PRODUCTS, PRODUCT_AND_SUM, EINSUM, FUSED}
"""Operators that sum over a dimension of two computed values."""
_PLACES = "ABCDEFGH"  # letters for the dimensions before the last two
_ATTENDING = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")


class _Side(NamedTuple):
    labels: Tensor
    letters: str


def contract(walk: ChannelWalk, node: fx.Node) -> Any:
    """Return the labels behind a product of computed values."""
    sides = _sides(walk, node)
    if sides is None:
        return walk.unknown(node)
    *factors, result = sides
    found = _product(walk, node, factors, result.letters, result.labels.shape)
    if found is None:
        return _one_head(walk, node)
    if node.target is PRODUCT_AND_SUM and isinstance(added := walk.at.get(node.args[0]), Tensor):  # type: ignore[arg-type]
        return walk.meet(node, [found, added], found.shape)
    return found


def attend(walk: ChannelWalk, node: fx.Node) -> Any:
    """Return the labels behind attention in one operator: scores, a mask, and their product with the values."""
    given: dict[str, Any] = {**dict(zip(_ATTENDING, node.args, strict=False)), **node.kwargs}
    taken: list[Any] = [walk.at.get(given[name]) for name in _ATTENDING[:3]]
    if not all(isinstance(each, Tensor) and each.dim() > 2 for each in taken):
        return walk.unknown(node)
    query, key, value = (walk.labels.classes(each) for each in taken)
    if given.get("enable_gqa"):
        key, value = (side.repeat_interleave(query.shape[-3] // side.shape[-3], -3) for side in (key, value))
    letters = _PLACES[: query.dim() - 2]
    shape = (*torch.broadcast_shapes(query.shape[:-2], key.shape[:-2]), query.shape[-2], key.shape[-2])
    sides = [_Side(query, f"{letters}mk"), _Side(key, f"{letters}nk")]
    scores = _product(walk, node, sides, f"{letters}mn", shape)
    mask = walk.at.get(given.get("attn_mask"))  # type: ignore[arg-type]
    if scores is not None and isinstance(mask, Tensor):
        scores = walk.meet(node, [scores, mask], shape)
    if scores is None or set(varying(scores)) & {scores.dim() - 1, scores.dim() - 2}:
        return _one_head(walk, node)
    sides = [_Side(scores, f"{letters}mn"), _Side(value, f"{letters}nv")]
    found = _product(walk, node, sides, f"{letters}mv", walk.values[node].shape)
    return _one_head(walk, node) if found is None else found


def _one_head(walk: ChannelWalk, node: fx.Node) -> Any:
    walk.stay(node, f"{node.name} multiplies them feature by feature, as attention with one head does")
    return walk.none(node)


def is_attention(walk: ChannelWalk, node: fx.Node) -> bool:
    """Tell whether a node is attention in one operator or module."""
    if node.op == "call_module":
        return isinstance(walk.model.get_submodule(str(node.target)), ScaledDotProductAttention)
    return node.target is FUSED


def _sides(walk: ChannelWalk, node: fx.Node) -> list[_Side] | None:
    """Return the factors and, last, the result of a product, with a letter for each dimension."""
    value = walk.values[node]
    if node.target is EINSUM:
        equation, operands = str(node.args[0]).replace(" ", ""), list(node.args[1])  # type: ignore[arg-type]
        names, _, result = equation.partition("->")
        letters = names.split(",")
        if "." in equation or not result or len(operands) != 2:
            return None
    else:
        operands = list(node.args[1:3] if node.target is PRODUCT_AND_SUM else node.args[:2])
        ranks = [walk.values[each].dim() if isinstance(each, fx.Node) else 0 for each in operands]
        if min(ranks) < 2:
            return None
        places = _PLACES[: value.dim() - 2]
        letters = [places[len(places) - rank + 2 :] + end for rank, end in zip(ranks, ("mk", "kn"), strict=True)]
        result = f"{places}mn"
    labels = [walk.at.get(each) for each in operands]
    if not all(isinstance(each, Tensor) and len(names) == each.dim() == len(set(names))
               for each, names in zip(labels, letters, strict=True)):  # fmt: skip
        return None
    return [_Side(*each) for each in zip([*labels, walk.none(node)], [*letters, result], strict=True)]


def _product(
    walk: ChannelWalk, node: fx.Node, sides: Sequence[_Side], result: str, shape: Sequence[int]
) -> Tensor | None:
    """Return the labels of a product; None where single features of both sides would have to go together."""
    shared = set.intersection(*({*side.letters} for side in sides), {*result})
    parts = []
    for labels, letters in sides:
        alone = [index for index, letter in enumerate(letters) if letter not in shared]
        kept = walk.together(labels, alone)
        differ = {letters[dim] for dim in varying(kept)}
        if differ - {*result}:
            return None
        for index in reversed(range(len(letters))):
            kept = kept if letters[index] in result else kept.select(index, 0)
        left = [letter for letter in letters if letter in result]
        kept = kept.permute([left.index(letter) for letter in result if letter in left])
        for place, letter in enumerate(result):
            kept = kept if letter in left else kept.unsqueeze(place)
        parts.append(kept)
    return walk.meet(node, parts, shape)
