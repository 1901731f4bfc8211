"""One backbone with four heads, and the same as four models: made with random weights, and installed on one device."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge_runtime.backbone import load_model
from edge_runtime.bundle import Golden, Measured, blobs_of
from edge_runtime.families import Family, family_of
from edge_runtime.golden import write_golden
from edge_runtime.install import DeviceStore, FolderSource, InstallSettings, Limits, Tuning, install
from edge_runtime.model_files import model_files
from edge_runtime.settings import SessionSettings
from model_compression.onnx_files import make_portable
from tests.benchmarks.runtime.heads_process import HEADS
from tests.edge_runtime.install.carried import DEVICE, MODEL, Carried, carry, described, put, rows

SIDE, CHANNELS, LAYERS, HIDDEN, CLASSES = 8, 256, 10, 512, 8
ONE_THREAD = SessionSettings(threads=1)
INSTALL = InstallSettings(Limits(time_s=300, memory_mb=4000), Tuning())


def made_family(folder: Path, seeds: Mapping[str, int]) -> Family:
    """Write the backbone and a head of each seed, in their portable form, and declare them."""
    heads = {name: _portable(folder / name, *_head(name, seed)) for name, seed in seeds.items()}
    return family_of(_portable(folder / "backbone", *_backbone()), heads, ONE_THREAD)


def carried_family(root: Path, folder: Path, version: int, seeds: Mapping[str, int]) -> Carried:
    """Write the bundle of a family into a folder of bundles."""
    family = made_family(folder, seeds)
    files = dict(family.files) | {"golden.npz": folder / "golden.npz"}
    model = load_model(files["model.onnx"], ONE_THREAD, family.graphs)
    right = dict(zip(seeds, model.predict({"x": rows()}), strict=True))
    write_golden(files["golden.npz"], {"x": rows()}, right)
    golden = Golden("golden.npz", len(rows()), len(rows()), dict.fromkeys(seeds, 1e-3))
    manifest = described(
        version, heads=family.heads, inputs=family.inputs, outputs=family.outputs, blobs=blobs_of(files), golden=golden,
        measured=Measured({}),
    )  # fmt: skip
    return put(root, manifest, files)


def installed_family(folder: Path) -> Path:
    """Install the family under MODEL, and the same as a model for each head; return the device's store."""
    seeds = {name: at for at, name in enumerate(HEADS)}
    store = DeviceStore(folder / "device", DEVICE)
    _install(store, MODEL, carried_family(folder / "carried", folder / "family", 1, seeds))
    for name, seed in seeds.items():
        nodes, weights = _backbone()
        more, others = _head("y", seed)
        graph = _portable(folder / f"whole-{name}", [*nodes, *more], weights | others)
        scratch, files = folder / f"scratch-{name}", model_files(graph)
        _install(store, name, carry(folder / "carried", scratch, 1, files=files, model=name, measured=Measured({})))
    return store.root


def _install(store: DeviceStore, model: str, carried: Carried) -> None:
    install(store, model, carried.data, FolderSource(carried.root), INSTALL)


Weights = dict[str, np.ndarray]


def _backbone() -> tuple[list[NodeProto], Weights]:
    """Return convolutions of 3 x 3 with Relu over a picture of 8 x 8, averaged into features."""
    chance, weights = np.random.default_rng(1), Weights({"shape": np.array([-1, 1, SIDE, SIDE])})
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["h0"])]
    for at in range(LAYERS):
        weights[f"w{at}"] = _drawn(chance, (CHANNELS, CHANNELS if at else 1, 3, 3))
        nodes += [
            helper.make_node("Conv", [f"h{at}", f"w{at}"], [f"c{at}"], kernel_shape=[3, 3], pads=[1] * 4),
            helper.make_node("Relu", [f"c{at}"], [f"h{at + 1}"]),
        ]
    nodes += [
        helper.make_node("GlobalAveragePool", [f"h{LAYERS}"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    return nodes, weights


def _head(gives: str, seed: int) -> tuple[list[NodeProto], Weights]:
    chance = np.random.default_rng(100 + seed)
    weights = {"v1": _drawn(chance, (HIDDEN, CHANNELS)), "v2": _drawn(chance, (CLASSES, HIDDEN))}
    nodes = [
        helper.make_node("Gemm", ["features", "v1"], ["g"], transB=1),
        helper.make_node("Relu", ["g"], ["r"]),
        helper.make_node("Gemm", ["r", "v2"], [gives], transB=1),
    ]
    return nodes, weights


def _drawn(chance: Any, shape: tuple[int, ...]) -> np.ndarray:
    drawn: np.ndarray = chance.standard_normal(shape, dtype=np.float32) * np.float32(1.4 / np.prod(shape[1:]) ** 0.5)
    return drawn


def _portable(folder: Path, nodes: list[NodeProto], weights: Weights) -> Path:
    """Write a graph from its first node's input to its last node's output, with its large weights beside it."""
    folder.mkdir(parents=True)
    first, last = nodes[0].input[0], nodes[-1].output[0]
    width = {"x": SIDE * SIDE, "features": CHANNELS}
    sizes = {first: width[first], last: width.get(last, CLASSES)}
    taken, given = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", sizes[name]]) for name in (first, last)
    )
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "made", [taken], [given], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "whole.onnx")
    return Path(make_portable(folder / "whole.onnx", folder / "portable"))
