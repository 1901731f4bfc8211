"""Where attention happens: one operator, or the products around a softmax."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from model_compression.intake import ScaledDotProductAttention, aten
from model_compression.pruning.structure.observation import layer_of

PRODUCTS = {aten.matmul.default, aten.bmm.default}
PRODUCT_AND_SUM = aten.baddbmm.default
SOFTMAX = {aten.softmax.int, aten._softmax.default}
OPERATORS = {aten.scaled_dot_product_attention.default, PRODUCT_AND_SUM, *PRODUCTS, *SOFTMAX}
"""What attention spends its time in, between its layers."""
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


@dataclass(frozen=True)
class Core:
    """One attention: what it takes and gives. Features are the last dimension, of the key the last but one if so told.

    `masks` are what is added to or put into the scores, `operators` the products and the softmax; `node` is the last.
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
    """The product of queries and keys before a softmax, and everything else that goes into its argument."""
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
