"""Large and small models, made with random weights and installed on a device's store as any bundle is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge_runtime.bundle import Measured
from edge_runtime.install import DeviceStore, FolderSource, InstallSettings, Limits, Tuning, install
from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.model_files import model_bytes, model_files
from edge_runtime.settings import SessionSettings
from model_compression.onnx_files import make_portable
from model_compression.quantization import quantize_after_training
from tests.edge_runtime.install.carried import DEVICE, MODEL, carry, rows

SIDE = 8  # a row of 64 numbers is a picture of 8 x 8
CLASSES = 8
BATCH = 8
Weights = list[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class InstalledModel:
    """A model on a device: its store, and the plain file with all weights inside; `weights_mb` are MiB of its files."""

    store: Path
    plain: Path
    weights_mb: float


def perceptron(path: Path, width: int, layers: int) -> Path:
    """Write relu(x @ w + b), layer after layer, as exporters do: Gemm and Relu."""
    sizes = [SIDE * SIDE, *[width] * layers, CLASSES]
    nodes, weights = list[NodeProto](), Weights()
    for at in range(len(sizes) - 1):
        weights += [(f"w{at}", (sizes[at + 1], sizes[at])), (f"b{at}", (sizes[at + 1],))]
        last = at == len(sizes) - 2
        nodes.append(
            helper.make_node(
                "Gemm", [f"h{at}" if at else "x", f"w{at}", f"b{at}"], ["y" if last else f"g{at}"], transB=1
            )
        )
        if not last:
            nodes.append(helper.make_node("Relu", [f"g{at}"], [f"h{at + 1}"]))
    return _written(path, nodes, weights)


def convnet(path: Path, channels: int, layers: int) -> Path:
    """Write convolutions of 3 x 3 with Relu over a picture of 8 x 8, and a product at the end."""
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["h0"])]
    weights: Weights = []
    for at in range(layers):
        weights += [(f"w{at}", (channels, channels if at else 1, 3, 3)), (f"b{at}", (channels,))]
        nodes += [
            helper.make_node("Conv", [f"h{at}", f"w{at}", f"b{at}"], [f"c{at}"], kernel_shape=[3, 3], pads=[1] * 4),
            helper.make_node("Relu", [f"c{at}"], [f"h{at + 1}"]),
        ]
    nodes += [
        helper.make_node("GlobalAveragePool", [f"h{layers}"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["y"], transB=1),
    ]
    return _written(path, nodes, [*weights, ("w", (CLASSES, channels)), ("b", (CLASSES,))])


def int8_perceptron(path: Path, width: int, layers: int) -> Path:
    """Write the perceptron in INT8, as the pipeline quantizes it."""
    whole = perceptron(path.with_name("float.onnx"), width, layers)
    return Path(quantize_after_training(whole, (rows(64),), path, method="minmax", reduce_range=False))


MODELS: Mapping[str, Callable[[Path], Path]] = {
    "convnet": lambda path: convnet(path, 512, 20),
    "fp32 MLP": lambda path: perceptron(path, 2048, 12),
    "int8 MLP": lambda path: int8_perceptron(path, 2048, 12),
}
SMALL: Mapping[str, Callable[[Path], Path]] = {
    "small convnet": lambda path: convnet(path, 16, 4),
    "small MLP": lambda path: perceptron(path, 64, 3),
}


def installed(folder: Path, make: Callable[[Path], Path]) -> InstalledModel:
    """Make a model and install it on a device whose tuning is that of every device."""
    folder.mkdir(parents=True)
    plain = make(folder / "plain.onnx")
    graph = make_portable(plain, folder / "portable")
    carried = carry(
        folder / "carried", folder / "scratch", 1, files=model_files(graph), measured=Measured({}, _curve(graph))
    )
    store = DeviceStore(folder / "device", DEVICE)
    settings = InstallSettings(Limits(time_s=300, memory_mb=4000), Tuning())
    install(store, MODEL, carried.data, FolderSource(carried.root), settings)
    return InstalledModel(store.root, plain, model_bytes(graph) / (1 << 20))


def _curve(graph: Path) -> dict[str, float]:
    """Return the times of 1 and of several rows, as the pipeline puts them into a manifest."""
    times = {}
    for size in (1, BATCH):
        request = MeasureRequest(
            graph, {"x": rows(BATCH)}, SessionSettings(threads=1), BATCH, latency_repeats=20, latency_batch_size=size
        )
        times[str(size)] = measure(request, 300).figures.latency_p50_ms
    return times


def _written(path: Path, nodes: list[NodeProto], weights: Weights) -> Path:
    chance = np.random.default_rng(1)
    tensors = [
        numpy_helper.from_array(
            (chance.standard_normal(shape, dtype=np.float32) * np.float32(1.4 / np.prod(shape[1:]) ** 0.5)), name
        )
        for name, shape in weights
    ]
    tensors.append(numpy_helper.from_array(np.array([-1, 1, SIDE, SIDE]), "shape"))
    graph = helper.make_graph(
        nodes, "made", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", SIDE * SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", CLASSES])], tensors,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
