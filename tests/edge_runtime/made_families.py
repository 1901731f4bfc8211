"""Backbones with heads, made by hand with known weights, as graphs and as bundles that a device may install."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import Bundle, Golden, blobs_of, manifest_path, read_bundle
from edge_runtime.families import Family, family_of
from edge_runtime.golden import write_golden
from edge_runtime.model_files import MODEL as ENTRY
from edge_runtime.model_files import write_heads
from edge_runtime.settings import SessionSettings
from model_compression.onnx_files import make_portable
from tests.edge_runtime.install.carried import DEVICE, MODEL, WIDTH, Carried, described, put, rows

FEATURES, CLASSES = 64, 20
ONE_THREAD = SessionSettings(threads=1)
Shape = list[int | str]


@dataclass(frozen=True)
class GraphFile:
    """A graph of one product with weights of a seed, before it is written; a backbone has a Relu after it.

    `reads` and `gives` name its input and its output, float32 (rows, `width`) and (rows, `wide`).
    """

    seed: int
    reads: str
    gives: str
    width: int
    wide: int
    dtype: int = TensorProto.FLOAT
    rows: int | str = "rows"
    relu: bool = False

    @property
    def weights(self) -> np.ndarray:
        """The weights, float32 (width, wide)."""
        shape = (self.width, self.wide)
        drawn = np.random.default_rng(self.seed).standard_normal(shape, dtype=np.float32)
        return drawn / np.float32(self.width**0.5)

    def answer(self, array: np.ndarray) -> np.ndarray:
        """Return what the graph gives, by numpy alone."""
        product: np.ndarray = array @ self.weights
        return np.maximum(product, 0) if self.relu else product

    def write(self, folder: Path) -> Path:
        """Write the graph in its portable form, into a folder of its own, and return its path."""
        folder.mkdir(parents=True)
        kind = helper.tensor_dtype_to_np_dtype(self.dtype)
        product = "product" if self.relu else self.gives
        nodes = [helper.make_node("MatMul", [self.reads, "w"], [product])]
        if self.relu:
            nodes.append(helper.make_node("Relu", [product], [self.gives]))
        graph = helper.make_graph(
            nodes, "one", [helper.make_tensor_value_info(self.reads, self.dtype, [self.rows, self.width])],
            [helper.make_tensor_value_info(self.gives, self.dtype, [self.rows, self.wide])],
            [numpy_helper.from_array(self.weights.astype(kind), "w")],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, folder / "whole.onnx")
        return make_portable(folder / "whole.onnx", folder / "portable")


def backbone(seed: int = 1, features: int = FEATURES, **changes: Any) -> GraphFile:
    """Return a backbone: features = relu(x @ w)."""
    return replace(GraphFile(seed, "x", "features", WIDTH, features, relu=True), **changes)


def head(gives: str, seed: int, features: int = FEATURES, **changes: Any) -> GraphFile:
    """Return a head: its output = features @ w."""
    return replace(GraphFile(seed, "features", gives, features, CLASSES), **changes)


@dataclass(frozen=True)
class MadeFamily:
    """A backbone and its heads by name, each giving the output of its name, in a folder of its own."""

    folder: Path
    heads: Mapping[str, GraphFile]
    backbone: GraphFile = field(default_factory=backbone)

    def paths(self) -> tuple[Path, dict[str, Path]]:
        """Write every graph; return the path of the backbone's, and those of the heads."""
        heads = {name: graph.write(self.folder / f"head-{name}") for name, graph in self.heads.items()}
        return self.backbone.write(self.folder / "backbone"), heads

    def on_disk(self) -> Path:
        """Write the family as one model on disk, the heads beside the backbone; return the path of its graph."""
        family, folder = family_of(*self.paths(), ONE_THREAD), self.folder / "family"
        folder.mkdir()
        for name, path in family.files.items():
            shutil.copyfile(path, folder / name)
        write_heads(folder, {head.name: head.outputs for head in family.heads})
        return folder / ENTRY

    def right(self, array: np.ndarray, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Return the answers of all heads, or of those that are named, by numpy alone."""
        features = self.backbone.answer(array)
        return {name: self.heads[name].answer(features) for name in names or self.heads}

    def carry(self, root: Path, version: int, **changes: Any) -> Carried:
        """Write the bundle into a folder of bundles; `changes` are fields of its manifest."""
        family = family_of(*self.paths(), ONE_THREAD)
        return self.carry_files(root, version, family, dict(family.files), **changes)

    def carry_files(self, root: Path, version: int, family: Family, files: dict[str, Path], **changes: Any) -> Carried:
        """Write a bundle of these files with the declaration of a family and the answers of this one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files["golden.npz"] = self.folder / "golden.npz"
        write_golden(files["golden.npz"], {"x": rows()}, self.right(rows()))
        fields: dict[str, Any] = {
            "heads": family.heads, "inputs": family.inputs, "outputs": family.outputs, "blobs": blobs_of(files),
            "golden": Golden("golden.npz", len(rows()), len(rows()), dict.fromkeys(self.heads, 1e-3)),
        }  # fmt: skip
        return put(root, described(version, **fields | changes), files)


def defects(folder: Path, *, faults: int = 11, kinds: int = 12, **changes: Any) -> MadeFamily:
    """Return a family with the heads `faults` and `kinds`, of these seeds."""
    return MadeFamily(folder, {"faults": head("faults", faults), "kinds": head("kinds", kinds)}, **changes)


def bundle_at(carried: Carried) -> Bundle:
    """Return what was written, verified."""
    return read_bundle(manifest_path(carried.root, MODEL, DEVICE, carried.digest))
