"""Residual layers: parts of a graph that can be left out, because input and output have one shape."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from torch import Tensor, fx

from model_compression.errors import PruningError
from model_compression.intake import aten, drop_dead_code
from model_compression.pruning.structure.attention import cores
from model_compression.pruning.structure.observation import Values, reads_sizes_only

ADDS = {aten.add.Tensor, aten.add_.Tensor}
Inside = Callable[[fx.Node, fx.Node], frozenset[fx.Node]]


@dataclass(frozen=True)
class Residual:
    """A layer with a residual path around it, from the node `start` to the node `end`, both of one shape.

    `name` is the module that holds all its layers, or the name of its last node. `nodes` are removed with it.
    """

    name: str
    start: fx.Node
    end: fx.Node
    nodes: frozenset[fx.Node]

    @property
    def is_read_elsewhere(self) -> bool:
        """True where something outside reads what is computed on the way to the end."""
        return any(user not in self.nodes for node in self.nodes if node is not self.end for user in node.users)

    @property
    def modules(self) -> list[str]:
        """The modules that it calls."""
        return sorted({str(node.target) for node in self.nodes if node.op == "call_module"})


def residuals(model: fx.GraphModule, values: Values) -> list[Residual]:
    """Find the residual layers of a graph that was observed, in the order in which they run.

    In a graph with attention, a layer is an attention and all that follows until the next, as papers count layers.
    Elsewhere it is everything between a split of the residual stream and the sum that ends it.
    """
    attending = {core.node for core in cores(model)}
    inside = cache(_inside)  # for this search only: graphs change, and a longer-lived cache would keep their weights
    found: dict[tuple[fx.Node, fx.Node], Residual] = {}
    for chain in trunk(model, values):
        for start, end in _spans(chain, attending, inside):
            if (start, end) not in found and _shape(values, start) == _shape(values, end) is not None:
                nodes = inside(start, end)
                found[start, end] = Residual(_name(model, nodes, end), start, end, nodes)
    whole = [layer for layer in found.values() if not any(layer.nodes < other.nodes for other in found.values())]
    return _unique(sorted(whole, key=lambda layer: list(model.graph.nodes).index(layer.end)))


def remove_residuals(model: fx.GraphModule, layers: Sequence[Residual]) -> None:
    """Remove layers, in the order in which they run, in place: the input of each takes the place of its output.

    Raises PruningError where something else reads what a layer computes; the model is then unusable.
    """
    for layer in reversed(layers):  # the end of a layer may be the start of the next
        layer.end.replace_all_uses_with(layer.start)
    drop_dead_code(model)
    left = set(model.graph.nodes)
    for layer in layers:
        still = [node.name for node in layer.nodes if node in left]
        if still:
            raise PruningError(
                f"expected nothing outside {layer.name} to read what it computes, got {', '.join(sorted(still)[:3])}; "
                "leave it in"
            )


def _spans(chain: list[fx.Node], attending: Collection[fx.Node], inside: Inside) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Yield the start and the end of each layer, among nodes through which everything flows."""
    steps = list(pairwise(chain))
    residual = [end.target in ADDS and len(inside(start, end)) > 1 for start, end in steps]
    starts = [
        index for index, (start, end) in enumerate(steps) if residual[index] and inside(start, end) & set(attending)
    ]
    ends = [*starts[1:], _last_end(starts, residual)] if starts else []
    for first, last in zip(starts, ends, strict=True):
        yield chain[first], chain[last]
    for index, (start, end) in enumerate(steps):
        if residual[index] and not any(first <= index < last for first, last in zip(starts, ends, strict=True)):
            yield start, end


def _last_end(starts: list[int], residual: list[bool]) -> int:
    """Return the end of the last attention layer.

    It is as long as the one before it, or it ends with the last of a sequence of residual sums.
    """
    if len(starts) > 1:
        return min(2 * starts[-1] - starts[-2], len(residual))
    sums = [index for index in range(starts[-1], len(residual)) if residual[index]]
    return sums[-1] + 1


def _inside(start: fx.Node, end: fx.Node) -> frozenset[fx.Node]:
    """Return the nodes that are computed from `start` on the way to `end`, `end` included."""
    from_start: set[fx.Node] = {start}
    for node in start.graph.nodes:
        if node > start and node <= end and any(source in from_start for source in node.all_input_nodes):
            from_start.add(node)
    to_end, pending = set(), [end]
    while pending:
        node = pending.pop()
        if node in from_start and node is not start and node not in to_end:
            to_end.add(node)
            pending.extend(node.all_input_nodes)
    return frozenset(to_end)


def _shape(values: Values, node: fx.Node) -> tuple[int, ...] | None:
    value: Any = values[node]
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _name(model: fx.GraphModule, nodes: Collection[fx.Node], end: fx.Node) -> str:
    """Return the innermost module that holds all layers with weights."""
    called = [str(node.target) for node in nodes if node.op == "call_module"]
    paths = [path.split(".") for path in called if any(True for _ in model.get_submodule(path).parameters())]
    common = []
    for names in zip(*paths, strict=False):
        if len(set(names)) > 1:
            break
        common.append(names[0])
    return ".".join(common) if len(paths) > 1 and common else end.name


def _unique(layers: list[Residual]) -> list[Residual]:
    names = [layer.name for layer in layers]
    return [
        layer if names.count(layer.name) == 1 else Residual(layer.end.name, layer.start, layer.end, layer.nodes)
        for layer in layers
    ]


def trunk(model: fx.GraphModule, values: Values) -> Iterator[list[fx.Node]]:
    """Yield chains of nodes through which everything flows, each from its first node to the output.

    Node b post-dominates node a when every path from a to the output leads through b; reading a size is no path.
    Source: Cooper, Harvey and Kennedy, A Simple, Fast Dominance Algorithm, 2001, on the reversed graph, which has no
    loops.
    """
    nearest = _nearest(model, values)
    led_to = set(nearest.values())
    for node in model.graph.nodes:
        if node in nearest and node not in led_to:
            chain = [node]
            while (after := nearest[chain[-1]]) is not None:
                chain.append(after)
            yield [each for each in chain if each.op != "output"]


def _nearest(model: fx.GraphModule, values: Values) -> dict[fx.Node, fx.Node | None]:
    """Map each node that is read to its nearest post-dominator."""
    nodes = list(model.graph.nodes)
    place = {node: index for index, node in enumerate(nodes)}
    nearest: dict[fx.Node, fx.Node | None] = {nodes[-1]: None}
    for node in reversed(nodes[:-1]):
        readers = [user for user in node.users if user in nearest and not reads_sizes_only(user)]
        if readers and isinstance(values[node], Tensor | tuple | list):
            common: fx.Node | None = readers[0]
            for reader in readers[1:]:
                common = _meeting(common, reader, nearest, place)
            nearest[node] = common
    return nearest


def _meeting(
    one: fx.Node | None, other: fx.Node | None, nearest: dict[fx.Node, fx.Node | None], place: dict[fx.Node, int]
) -> fx.Node | None:
    while one is not other and one is not None and other is not None:
        if place[one] < place[other]:
            one = nearest[one]
        else:
            other = nearest[other]
    return one
