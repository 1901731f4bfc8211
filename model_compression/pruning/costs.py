"""What removing a unit frees of the resource that is short: bytes, activation memory, or measured latency."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from torch import Tensor, fx, nn

from model_compression.errors import PruningError
from model_compression.intake import is_view
from model_compression.pruning.dependencies import Bundle
from model_compression.pruning.latency_profile import layer_seconds
from model_compression.pruning.selection import Candidates
from model_compression.pruning.structure import Attention, Residual, Values, observe

Resource: TypeAlias = Literal["bytes", "memory", "latency"]
INPUTS_TOO: tuple[Resource, ...] = ("bytes", "latency")  # a layer with fewer inputs has fewer weights and less to do


@dataclass(frozen=True)
class Costs:
    """What each layer (by module) and each other node (by name) takes. Without any, channels are what is counted."""

    taken: Mapping[str, float] = field(default_factory=dict)
    inputs_too: bool = True

    def of_channel(self, bundle: Bundle) -> float:
        """What a channel of a bundle frees, as a share of everything."""
        if not self.taken:
            return 1.0
        parts = [part for part in bundle.parts if part.of_outputs or self.inputs_too]
        return sum(self.taken.get(part.layer, 0.0) * part.share for part in parts)

    def of_head(self, attention: Attention) -> float:
        """What a head frees."""
        if not self.taken:
            return float(len(attention.heads[0].columns))
        count = len(attention.heads)
        makers = sum(self.taken.get(maker, 0.0) for maker in attention.makers) / count
        between = {_name(node) for node in (*attention.heads_at, *attention.operators)} - {*attention.makers}
        core = sum(self.taken.get(name, 0.0) for name in between) / count
        return makers + core + (self.taken.get(attention.name, 0.0) / count if self.inputs_too else 0.0)

    def of_layer(self, layer: Residual, inside: Collection[Candidates]) -> float:
        """What a layer frees; `inside` are the groups that go with it."""
        if not self.taken:
            return sum(group.cost * len(group.scores) for group in inside) or 1.0
        return sum(self.taken.get(name, 0.0) for name in (*layer.modules, *(node.name for node in layer.nodes)))


NOTHING = Costs()


def costs_of(model: nn.Module, example: tuple[Tensor, ...], resource: Resource) -> Costs:
    """Weigh a model's layers by a resource, as shares of the whole.

    `bytes`: the parameters. `memory`: the values that are alive when most are, for one row of the example, views
    counted with what they are views of. `latency`: measured, ONNX Runtime's time in each layer on one thread and one
    row. Raises PruningError for `memory` where the model is not a rebuilt program.
    """
    match resource:
        case "bytes":
            taken = {name: float(sum(weight.numel() for weight in module.parameters(recurse=False)))
                     for name, module in model.named_modules()}  # fmt: skip
        case "latency":
            taken = layer_seconds(model, example)
        case "memory":
            taken = _alive_at_peak(model, example)
    whole = sum(taken.values())
    return Costs({name: share / whole for name, share in taken.items() if share}, resource in INPUTS_TOO)


def _alive_at_peak(model: nn.Module, example: tuple[Tensor, ...]) -> dict[str, float]:
    if not isinstance(model, fx.GraphModule):
        raise PruningError(
            "expected a rebuilt program to weigh activation memory in, got a module of build_model(); drop it, or "
            "weigh by `bytes`"
        )
    values = observe(model, example)
    nodes = list(model.graph.nodes)
    last = _last_uses(nodes)
    sizes = {node: _bytes(values, node) for node in nodes}
    alive = [[node for node in nodes[: step + 1] if sizes[node] and last[node] >= step] for step in range(len(nodes))]
    peak = max(alive, key=lambda living: sum(sizes[node] for node in living))
    taken: dict[str, float] = {}
    for node in peak:
        taken[_name(node)] = taken.get(_name(node), 0.0) + sizes[node]
    return taken


def _name(node: fx.Node) -> str:
    """What a node's share is kept by: its module, or itself."""
    return str(node.target) if node.op == "call_module" else node.name


def _last_uses(nodes: list[fx.Node]) -> dict[fx.Node, int]:
    """The step at which each node's memory is read for the last time, through views of it too."""
    last = {node: index for index, node in enumerate(nodes)}
    for node in reversed(nodes):
        for source in node.all_input_nodes:
            last[source] = max(last[source], last[node] if _views(node) else nodes.index(node))
    return last


def _views(node: fx.Node) -> bool:
    return node.op == "call_function" and is_view(node)


def _bytes(values: Values, node: fx.Node) -> int:
    value = values[node]
    if not isinstance(value, Tensor) or _views(node) or node.op in ("get_attr", "output"):
        return 0
    return value.numel() * value.element_size()
