"""Programs whose nodes have digests: two nodes of one digest compute the same from the rows, whatever they are called.

The digest of a node is the sha256 of its operator, its arguments, its module's kind, settings and weights, and the
digests of the nodes that it reads.
"""

import hashlib
import operator
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.intake import arguments, aten, live_nodes, memory_of, operator_name, written_argument

COUNTER = "num_batches_tracked"  # says how long a batch norm was trained, and nothing of what it computes


class SignedProgram:
    """The nodes of a rebuilt program that its one output needs, with a digest of each.

    `values` are those that depend on the rows, in the order in which they run. All others are free: made of weights,
    and of the number of rows, so that each part of a program may have its own copy of them.
    """

    def __init__(self, model: fx.GraphModule) -> None:
        self.model = model
        self.output: fx.Node = model.graph.output_node().args[0]  # type: ignore[assignment]
        self.inputs = list(model.graph.find_nodes(op="placeholder"))
        live = live_nodes(model.graph, [self.output])
        self.nodes = [node for node in model.graph.nodes if node in live]
        self.sources = _sources(self.nodes)
        self.free = _free_nodes(self.nodes, self.sources)
        self.values = [node for node in self.nodes if node not in self.free]

    @cached_property
    def digests(self) -> dict[fx.Node, str]:
        """The digest of every node; an input's is its place."""
        found: dict[fx.Node, str] = {}
        for node in self.nodes:
            parts = (
                self.form(node),
                self.weights(node),
                *_written(node, found),
                *(found[s] for s in self.sources[node]),
            )
            found[node] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return found

    @cached_property
    def by_digest(self) -> dict[str, fx.Node]:
        """The first value of each digest."""
        return {self.digests[node]: node for node in reversed(self.values)}

    def form(self, node: fx.Node) -> str:
        """Return a node's operator, or its module's kind and settings."""
        if node.op == "placeholder":
            return f"input {self.inputs.index(node)}"
        if node.op == "call_module":
            module = self.model.get_submodule(str(node.target))
            return f"{type(module).__module__}.{module!r}"
        return str(node.target) if node.op == "call_function" else node.op

    def weights(self, node: fx.Node) -> str:
        """Return the digests of a node's own weights and statistics by name, "" where it has none."""
        return " ".join(f"{name} {_digest(tensor)}" for name, tensor in self.tensors(node) if name != COUNTER)

    def tensors(self, node: fx.Node) -> list[tuple[str, Tensor]]:
        """List a node's own weights and statistics, each with its name in the node's module."""
        if node.op == "get_attr":
            return [("", tensor_at(self.model, str(node.target)))]
        if node.op != "call_module":
            return []
        module = self.model.get_submodule(str(node.target))
        return [*module.named_parameters(), *module.named_buffers()]

    def behind(self, ends: Iterable[fx.Node], stop: Iterable[fx.Node] = ()) -> set[fx.Node]:
        """Return some nodes and all that they are computed from; what `stop` computes is not followed further."""
        found, pending, stops = set[fx.Node](), list(ends), set(stop)
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending.extend(() if node in stops else self.sources[node])
        return found

    def parameters(self, nodes: Iterable[fx.Node]) -> int:
        """Count the trained numbers of some nodes, each tensor once."""
        own = (tensor for node in nodes for _, tensor in self.tensors(node) if isinstance(tensor, nn.Parameter))
        return sum(tensor.numel() for tensor in {id(tensor): tensor for tensor in own}.values())

    def cuts(self) -> Iterator[fx.Node]:
        """Yield the tensors through which everything flows from the inputs to the output, in their order.

        Nodes run in one order, so a node is such a cut where no earlier one is read by a later one.
        """
        values = sorted(self.values, key=lambda node: node.op != "placeholder")
        place = {node: index for index, node in enumerate(values)}
        furthest = len([node for node in values if node.op == "placeholder"]) - 1
        for index, node in enumerate(values):
            if furthest <= index and _is_tensor(node):
                yield node
            furthest = max(furthest, *(place[reader] for reader in self.readers(node)), index)
            if node is self.output:
                furthest = len(values)

    def readers(self, node: fx.Node) -> list[fx.Node]:
        """List the values that read a node's value."""
        return self._readers.get(node, [])

    @cached_property
    def _readers(self) -> dict[fx.Node, list[fx.Node]]:
        found: dict[fx.Node, list[fx.Node]] = {}
        for node in self.values:
            for source in self.sources[node]:
                found.setdefault(source, []).append(node)
        return found


def tensor_at(model: nn.Module, path: str) -> Tensor:
    """Return the parameter or buffer of a model at a path."""
    owner, _, leaf = path.rpartition(".")
    tensor: Tensor = getattr(model.get_submodule(owner), leaf)
    return tensor


def is_size(node: fx.Node) -> bool:
    """Tell whether a node computes whole numbers from shapes, and no tensor."""
    if node.target is aten.sym_size.int:
        return True
    return node.op == "call_function" and not operator_name(node) and node.target is not operator.getitem


def _sources(nodes: Iterable[fx.Node]) -> dict[fx.Node, list[fx.Node]]:
    """Map each node to those that it reads: what was written in place to memory that it reads is among them."""
    found: dict[fx.Node, list[fx.Node]] = {}
    written: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        read = list(node.all_input_nodes)
        found[node] = list(dict.fromkeys([*read, *(written[memory_of(s)] for s in read if memory_of(s) in written)]))
        target = written_argument(node)
        if target is not None:
            written[memory_of(target)] = node
    return found


def _free_nodes(nodes: Iterable[fx.Node], sources: dict[fx.Node, list[fx.Node]]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    for node in nodes:
        counts_rows = node.target is aten.sym_size.int and node.args[1] == 0
        if node.op != "placeholder" and (counts_rows or all(source in found for source in sources[node])):
            found.add(node)
    return found


def _is_tensor(node: fx.Node) -> bool:
    return not is_size(node) and not any(user.target is operator.getitem for user in node.users)


def _written(node: fx.Node, digests: dict[fx.Node, str]) -> Iterator[str]:
    """Yield a node's arguments: those of an operator by name, with what it takes where nothing is given."""
    if node.op not in ("call_function", "call_module"):
        return
    placed = {str(place): value for place, value in enumerate(node.args)}
    named = arguments(node) if operator_name(node) else {**placed, **node.kwargs}
    for name, value in sorted(named.items()):
        yield f"{name}={_text(value, digests)}"


def _text(value: Any, digests: dict[fx.Node, str]) -> str:
    if isinstance(value, fx.Node):
        return digests[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(each, digests) for each in value)}]"
    if isinstance(value, slice):
        return f"slice{_text((value.start, value.stop, value.step), digests)}"
    return f"{type(value).__name__} {value}"


def _digest(tensor: Tensor) -> str:
    values = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{values.dtype} {list(values.shape)} ".encode())
    if values.numel():
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
