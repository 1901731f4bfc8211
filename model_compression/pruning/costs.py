"""Resources that a model and its units take: parameters, file bytes, activation memory, measured latency.

Pruning removes first the units that cost the loss least for the resource that they free.
"""

import ast
import copy
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from model_compression.intake import is_view, operator_name
from model_compression.onnx_files import RECURRENT, to_traced_onnx
from model_compression.pruning.channel_groups import ChannelGroup
from model_compression.pruning.own_modules import SmallerAttention, program_of
from model_compression.pruning.structure import OPERATORS, Attention, Residual, Values, observe
from model_compression.pruning.vocabulary import TrimmedTable
from model_compression.settings import CostKind

INPUTS_TOO: tuple[CostKind, ...] = ("bytes", "latency")  # a layer with fewer inputs has fewer weights and less work
PROFILED_RUNS = 30
SCOPES = "pkg.torch.onnx.name_scopes"
KERNEL = "_kernel_time"
OPERATOR = "_operator_"  # prefix of the module that stands for a node
FLOAT_BYTES = 4
BYTES_PER_CHANNEL = 4 + 4 + 4  # the weights' scale, the int32 bias and its scale


@dataclass(frozen=True)
class Costs:
    """Shares of a resource: of each layer by its module, of each other node by its name.

    Where `taken` is empty, a unit's cost is its number of channels. With `inputs_too`, a layer also gets cheaper by
    losing inputs.
    """

    taken: Mapping[str, float] = field(default_factory=dict)
    inputs_too: bool = True

    def of_channel(self, group: ChannelGroup) -> float:
        """Return the share that one channel, or one unit, of a group frees."""
        if not self.taken:
            return float(group.unit_size)
        parts = [part for part in group.parts if part.of_outputs or self.inputs_too]
        return sum(self.taken.get(part.layer, 0.0) * part.share for part in parts)

    def of_head(self, attention: Attention) -> float:
        """Return the share that one head frees."""
        if not self.taken:
            return float(len(attention.heads[0].columns))
        count = len(attention.heads)
        makers = sum(self.taken.get(maker, 0.0) for maker in attention.makers) / count
        between = {_name(node) for node in (*attention.nodes, *attention.operators)} - {*attention.makers}
        core = sum(self.taken.get(name, 0.0) for name in between) / count
        return makers + core + (self.taken.get(attention.name, 0.0) / count if self.inputs_too else 0.0)

    def of_layer(self, layer: Residual, inside: float) -> float:
        """Return the share that a layer frees; `inside` is the cost of all channels and heads that go with it."""
        if not self.taken:
            return inside or 1.0
        return sum(self.taken.get(name, 0.0) for name in (*layer.modules, *(node.name for node in layer.nodes)))

    def freed(self, units: "Removed") -> float:
        """Return the share that removed units free together; a weight that loses output and input counts once."""
        total = 0.0
        for name, taken in self.taken.items():
            inputs = units.of_inputs.get(name, 0.0) if self.inputs_too else 0.0
            left = (1 - min(1.0, units.of_outputs.get(name, 0.0))) * (1 - min(1.0, inputs))
            total += taken * (1 - left)
        return total


@dataclass(frozen=True)
class Removed:
    """Shares of the outputs and of the inputs that layers and other nodes lose, by name."""

    of_outputs: dict[str, float] = field(default_factory=dict)
    of_inputs: dict[str, float] = field(default_factory=dict)

    def channels(self, group: ChannelGroup, numbers: Collection[int]) -> None:
        """Add channels, or units of them, of a group."""
        for part in group.parts:
            share = sum(part.shares[number] for number in numbers) if part.shares else len(numbers) * part.share
            self._add(self.of_outputs if part.of_outputs else self.of_inputs, part.layer, share)

    def heads(self, attention: Attention, count: int) -> None:
        """Add heads of an attention."""
        share = count / len(attention.heads)
        for name in {_name(node) for node in (*attention.nodes, *attention.operators)} | {*attention.makers}:
            self._add(self.of_outputs, name, share)
        self._add(self.of_inputs, attention.name, share)

    def layer(self, layer: Residual) -> None:
        """Add a whole residual layer."""
        for name in (*layer.modules, *(node.name for node in layer.nodes)):
            self._add(self.of_outputs, name, 1.0)

    def _add(self, shares: dict[str, float], name: str, share: float) -> None:
        shares[name] = shares.get(name, 0.0) + share


NOTHING = Costs()


def costs_of(model: nn.Module, example: tuple[Tensor, ...], resource: CostKind) -> Costs:
    """Measure the shares of a resource that a model's layers take.

    - `bytes`: the parameters.
    - `memory`: the values that are alive when most are alive, for one row of the example; a view counts with its
      source.
    - `latency`: ONNX Runtime's measured time in each layer, on one thread and one row.

    Raises ExportError for `latency`.
    """
    model = program_of(model, example)
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


def _alive_at_peak(model: fx.GraphModule, example: tuple[Tensor, ...]) -> dict[str, float]:
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
    """Return the key of a node's share: its module's name, or its own."""
    return str(node.target) if node.op == "call_module" else node.name


def _last_uses(nodes: list[fx.Node]) -> dict[fx.Node, int]:
    """Map each node to the last step that reads its memory, also through views of it."""
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


def layer_seconds(model: nn.Module, example: tuple[Tensor, ...]) -> dict[str, float]:
    """Measure the median seconds of each module's operators, for one row on one thread.

    Keys are module names. In a rebuilt program, an attention's own products and softmax are there by the names of their
    nodes. Other operators that belong to no module (sums, views) are left out. Raises ExportError.
    """
    names = [f"input{index}" for index in range(len(example))]
    proto = to_traced_onnx(_with_operators_as_modules(model), example, names)
    modules = {node.name: _module(node) for node in proto.graph.node}
    rows = {name: values[:1].numpy() for name, values in zip(names, example, strict=True)}
    seconds: dict[str, float] = defaultdict(float)
    for node, times in _profile(proto, rows).items():
        if modules.get(node):
            seconds[modules[node].removeprefix(OPERATOR)] += statistics.median(times) / 1e6
    return dict(seconds)


class _Operator(nn.Module):
    """One operator of a graph, under a name that the exporter keeps."""

    def __init__(self, target: Callable[..., Tensor]) -> None:
        super().__init__()
        self.target = target

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.target(*args, **kwargs)


def _with_operators_as_modules(model: nn.Module) -> nn.Module:
    """Wrap attention's operators in modules: the exporter renames operators but keeps modules' names."""
    if not isinstance(model, fx.GraphModule):
        return model
    named = copy.deepcopy(model)
    for node in named.graph.nodes:
        if node.target in OPERATORS:
            name = f"{OPERATOR}{node.name}"
            named.add_module(name, _Operator(node.target))
            node.op, node.target = "call_module", name
    named.recompile()
    return named.eval()


def _module(node: onnx.NodeProto) -> str:
    """Return the module that a node came from, "" for the model's own operators."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
    *modules, _ = ast.literal_eval(scopes) or [""]
    return modules[-1] if modules else ""


def _profile(proto: onnx.ModelProto, rows: Mapping[str, Any]) -> dict[str, list[float]]:
    """Run a graph PROFILED_RUNS times; returns the microseconds of each run of each node, by its name."""
    with tempfile.TemporaryDirectory(prefix="edgewright-profile-") as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "run")
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        # higher levels rename nodes and fuse them across modules
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for _ in range(PROFILED_RUNS):
            session.run(None, rows)
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            times[event["name"].removesuffix(KERNEL)].append(float(event["dur"]))
    return times


def parameters(model: nn.Module) -> int:
    """Count the parameters of a model."""
    return sum(parameter.numel() for parameter in model.parameters())


def int8_weight_bytes(model: nn.Module) -> int:
    """Count the bytes of a model's weights in an INT8 file with scales per channel and batch norms folded.

    Weights of recurrent layers and transposed convolutions are stored in 8 bits with a scale for each row or channel.
    Bytes of the graph itself are not counted.
    """
    stored = sum((FLOAT_BYTES - 1) * weight.numel() - FLOAT_BYTES * len(weight) for weight in _recurrent_weights(model))
    return sum(_int8_bytes(module) for module in model.modules()) - stored


def _recurrent_weights(model: nn.Module) -> list[Tensor]:
    """Return the matrices of recurrent layers: modules of code, and operators of a rebuilt program."""
    read = [weight for module in model.modules() if isinstance(module, nn.RNNBase) for weight in module.parameters()]
    if isinstance(model, fx.GraphModule):
        nodes = [node for node in model.graph.nodes if operator_name(node) in RECURRENT]
        paths = {str(source.target) for node in nodes for source in node.all_input_nodes if source.op == "get_attr"}
        read += [weight for name, weight in model.named_parameters() if name in paths]
    return [weight for weight in read if weight.dim() == 2]


def _int8_bytes(module: nn.Module) -> int:
    if isinstance(module, _BatchNorm):
        return 0
    if isinstance(module, _ConvTransposeNd):
        channels = module.in_channels if module.groups > 1 else module.out_channels
        biases = 0 if module.bias is None else module.bias.numel()
        return module.weight.numel() + FLOAT_BYTES * (channels + biases)
    if isinstance(module, (_ConvNd, nn.Linear, nn.MultiheadAttention, SmallerAttention)):
        weights = [weight for weight in module.parameters(recurse=False) if weight.dim() > 1]
        return sum(weight.numel() + BYTES_PER_CHANNEL * len(weight) for weight in weights)
    if isinstance(module, TrimmedTable):
        return module.rows.numel() * module.rows.element_size()
    if isinstance(module, nn.Embedding):
        return module.weight.numel()
    return FLOAT_BYTES * sum(parameter.numel() for parameter in module.parameters(recurse=False))
