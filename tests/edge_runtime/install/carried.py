"""Carried folders with bundles of small models, for tests of the install step and for what they kill."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import (
    Golden,
    Manifest,
    Measured,
    TensorSpec,
    Validity,
    blobs_of,
    digest_of,
    encode_manifest,
    write_bundle,
)
from edge_runtime.cpu import this_instruction_set
from edge_runtime.golden import write_golden
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import RUNNING

MODEL, DEVICE = "camera", "gateway"
PASSED = {"verdict": "pass", "verdict_sha256": "0" * 64}
WIDTH, CLASSES = 64, 8


def rows(count: int = 8, seed: int = 1) -> np.ndarray:
    """Return rows of the small model, float32, (count, WIDTH)."""
    return np.random.default_rng(seed).standard_normal((count, WIDTH), dtype=np.float32)


def small_model(folder: Path, seed: int, nodes: list[onnx.NodeProto] | None = None) -> dict[str, Path]:
    """Write y = relu(x @ w) @ v with weights of a seed, or other nodes over them."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    weights = {"w": (WIDTH, WIDTH), "v": (WIDTH, CLASSES)}
    tensors = [
        numpy_helper.from_array(chance.standard_normal(shape, dtype=np.float32), name)
        for name, shape in weights.items()
    ]
    graph = helper.make_graph(
        nodes or LAYERS, "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", CLASSES])], tensors,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    return {"model.onnx": folder / "model.onnx"}


def wide_model(folder: Path, seed: int, side: int, layers: int = 1) -> Path:
    """Write a chain of products with square matrices of a side between the small model's input and output."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(seed)
    shapes = [(WIDTH, side), *[(side, side)] * layers, (side, CLASSES)]
    names = ["x", *(f"h{number}" for number in range(len(shapes) - 1)), "y"]
    nodes = [helper.make_node("MatMul", [names[at], f"w{at}"], [names[at + 1]]) for at in range(len(shapes))]
    weights = [
        numpy_helper.from_array(chance.standard_normal(shape, dtype=np.float32) / np.float32(shape[0] ** 0.5), f"w{at}")
        for at, shape in enumerate(shapes)
    ]
    graph = helper.make_graph(
        nodes, "wide", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", CLASSES])], weights,
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "whole.onnx"
    )
    return folder / "whole.onnx"


LAYERS = [
    helper.make_node("MatMul", ["x", "w"], ["h"]),
    helper.make_node("Relu", ["h"], ["r"]),
    helper.make_node("MatMul", ["r", "v"], ["y"]),
]


@dataclass(frozen=True)
class Carried:
    """A folder of bundles, and the bytes and the digest of the manifest that was written last."""

    root: Path
    data: bytes
    digest: str


def expected(files: dict[str, Path], inputs: np.ndarray) -> np.ndarray:
    """Return what a model answers."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(files["model.onnx"]), providers=["CPUExecutionProvider"])
    answers: np.ndarray = session.run(None, {"x": inputs})[0]
    return answers


def carry(
    root: Path, scratch: Path, seed: int, *, files: dict[str, Path] | None = None, answers: np.ndarray | None = None,
    **changes: Any,
) -> Carried:  # fmt: skip
    """Write a bundle of the small model of a seed into a folder; `changes` are fields of its manifest."""
    files = dict(small_model(scratch / f"model-{seed}", seed) if files is None else files)
    given = rows()
    scratch.mkdir(parents=True, exist_ok=True)
    files["golden.npz"] = scratch / f"golden-{seed}.npz"
    right = expected({"model.onnx": files["model.onnx"]}, given) if answers is None else answers
    write_golden(files["golden.npz"], {"x": given}, {"y": right})
    golden = Golden("golden.npz", len(given), len(given), {"y": 1e-3})
    return put(root, described(seed, **{"blobs": blobs_of(files), "golden": golden} | changes), files)


def described(version: int, **changes: Any) -> Manifest:
    """Return a manifest that this device may run, of the small model's tensors; `changes` are its other fields."""
    fields: dict[str, Any] = {
        "model": MODEL, "version": str(version), "device": DEVICE, "entry": "model.onnx",
        "inputs": (TensorSpec("x", "float32", (None, WIDTH)),),
        "outputs": (TensorSpec("y", "float32", (None, CLASSES)),),
        "session": SessionSettings(threads=1), "onnxruntime": RUNNING, "lineage": PASSED | {"release": str(version)},
        "validity": Validity((str(this_instruction_set()),), elsewhere=this_instruction_set() is None),
        "measured": Measured({"peak_rss_mb": 100.0}),
    }  # fmt: skip
    return Manifest(**fields | changes)


def put(root: Path, manifest: Manifest, files: dict[str, Path]) -> Carried:
    """Write a bundle into a folder."""
    write_bundle(root, manifest, files)
    return Carried(root, encode_manifest(manifest), digest_of(manifest))
