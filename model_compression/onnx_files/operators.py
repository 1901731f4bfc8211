"""Which operators ONNX Runtime really runs: the histogram of the graph after its own optimization."""

import tempfile
from collections import Counter
from pathlib import Path

import onnx
import onnxruntime as ort

from model_compression.quiet import quiet

INTEGER = ("QLinear", "QGemm", "Integer", "QAttention", "DynamicQuantize", "NBits", "GatherBlock")


def optimized_operators(path: Path) -> dict[str, int]:
    """Count the operators of a file as this machine's ONNX Runtime optimizes it, most frequent first."""
    options = ort.SessionOptions()
    options.log_severity_level = 3  # it warns that what it writes is for this processor: so it is meant
    with tempfile.TemporaryDirectory(prefix="edgewright-operators-") as folder, quiet("onnxruntime"):
        optimized = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(optimized)
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        graph = onnx.load(optimized).graph
    return dict(Counter(node.op_type for node in graph.node).most_common())


def is_integer(operator: str) -> bool:
    """Whether an operator of an optimized graph computes in integers."""
    return any(part in operator for part in INTEGER)
