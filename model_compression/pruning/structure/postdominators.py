"""The nodes of a graph through which everything flows: each node's post-dominators."""

from collections.abc import Iterator

from torch import Tensor, fx

from model_compression.pruning.structure.observation import Values, reads_sizes_only


def trunk(model: fx.GraphModule, values: Values) -> Iterator[list[fx.Node]]:
    """Yield, from each node that none before it leads to alone, the nodes that everything from there on passes.

    Node b post-dominates a when every path from a to the output leads through b. Reading a size is no path. Source:
    Cooper, Harvey and Kennedy, A Simple, Fast Dominance Algorithm, 2001, on the graph turned round, without loops.
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
    """Each node's nearest post-dominator; without those that nothing reads."""
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
