"""How long each layer takes when ONNX Runtime runs the model."""

import ast
import copy
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from torch import Tensor, fx, nn

from model_compression.onnx_files import to_traced_onnx
from model_compression.pruning.structure import OPERATORS

RUNS = 30
SCOPES = "pkg.torch.onnx.name_scopes"
KERNEL = "_kernel_time"
OPERATOR = "_operator_"  # before the name of a node that became a module


def layer_seconds(model: nn.Module, example: tuple[Tensor, ...]) -> dict[str, float]:
    """Measure the median time of each module's operators, by the module's name, for one row on one thread.

    An attention's own products and softmax are there by the names of their nodes, where the model is a rebuilt program.
    Other operators that belong to no module (sums, views) are not in it. Raises ExportError.
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
    """The exporter numbers operators anew and keeps the names of modules."""
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
    """The module that a node came from, "" for the model's own operators."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
    *modules, _ = ast.literal_eval(scopes) or [""]
    return modules[-1] if modules else ""


def _profile(proto: onnx.ModelProto, rows: Mapping[str, Any]) -> dict[str, list[float]]:
    """Microseconds of each run of each node, by its name."""
    with tempfile.TemporaryDirectory(prefix="edgewright-profile-") as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "run")
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        # what goes further renames and fuses nodes across modules
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for _ in range(RUNS):
            session.run(None, rows)
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            times[event["name"].removesuffix(KERNEL)].append(float(event["dur"]))
    return times
