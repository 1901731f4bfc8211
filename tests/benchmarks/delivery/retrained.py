"""Bytes of an update to a model whose parent was really trained further: our deltas, beside other ways.

The pipeline of the demo publishes two versions of its digit classifier for one device, the second trained further from
the first on newly turned and moved digits. A device that has the first release fetches the second.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml

import flows.compress
from deployments.workloads.digits import RARE_DIGIT, Digits, jitter
from edge_runtime.bundle import Blob, Bundle, manifests_of, verify_bundle
from edge_runtime.deltas import EMPTY
from edge_runtime.model_files import weights_in_order
from flows.demo.story import OPTIMIZATION, RARE_REPEATS, VERSIONS, DigitsNet, train
from model_compression.training import fine_tune
from tasks.progress import steps
from tasks.registry import register_upstream
from tasks.workspace import Workspace
from tests.benchmarks.record import ROOT, Figure

RECIPE = ROOT / "deployments" / "recipes" / "digits.yaml"
DEVICE, MODEL = "gateway", "digits"
FURTHER = replace(OPTIMIZATION, learning_rate=2e-4)
PASSES = 4
GENTLE = {"epochs": 1, "learning_rate": 2e-4, "batch_size": 64, "weight_decay": 0.0, "temperature": 4,
          "distillation_weight": 0.7, "seed": 0}  # fmt: skip


def parents() -> Iterator[DigitsNet]:
    """Yield a network, and the same trained further on rows that are turned and moved anew."""
    with steps("upstream trains") as progress:
        model = train(VERSIONS["2"], progress)
        yield model
        digits = Digits()
        rows = digits.rows["train"]
        rows = np.concatenate([rows, np.repeat(rows[digits.targets[rows] == RARE_DIGIT], RARE_REPEATS)])
        chance = torch.Generator().manual_seed(1)
        images = torch.cat([jitter(torch.from_numpy(digits.images[rows]), chance) for _ in range(PASSES)])
        labels = np.tile(digits.targets[rows], PASSES)
        fine_tune(model, (images.numpy(),), labels, None, F.cross_entropy, FURTHER, progress)
        yield model


def published(root: Path, changes: Mapping[str, object]) -> tuple[Bundle, Bundle]:
    """Publish both versions under the demo's recipe with changes; return the two bundles."""
    workspace, recipe = Workspace.at(root / "home"), root / "digits.yaml"
    recipe.write_text(yaml.safe_dump(yaml.safe_load(RECIPE.read_text()) | {"devices": [DEVICE]} | changes))
    for parent in parents():
        version = register_upstream(workspace.tracking_uri, MODEL, parent, np.zeros((2, 1, 8, 8), np.float32), {})
        outcome = flows.compress.compress(MODEL, version, str(recipe), workspace)
        if not outcome.devices or not outcome.devices[0].published:
            raise RuntimeError(f"version {version} was not published: {outcome}")
    bundles = [verify_bundle(path) for path in manifests_of(workspace.target, MODEL, DEVICE)]
    first, second = sorted(bundles, key=lambda bundle: int(bundle.manifest.release))
    return first, second


@dataclass(frozen=True)
class Change:
    """The blobs of a new bundle that a device lacks, each with the file that is in its place in the old one."""

    old: Bundle
    new: Bundle

    @property
    def whole(self) -> int:
        """The bytes of the bundle: its manifest and all blobs."""
        return self.described + sum(blob.size for blob in self.new.manifest.blobs)

    @property
    def described(self) -> int:
        """The bytes of the manifest, which every way has to fetch."""
        return self.new.path.stat().st_size

    @property
    def lacking(self) -> list[Blob]:
        """The blobs that the old bundle does not have."""
        known = {blob.sha256 for blob in self.old.manifest.blobs}
        return [blob for blob in self.new.manifest.blobs if blob.sha256 not in known]

    def ours(self) -> int:
        """Return the bytes that a device fetches: the smallest way to each blob, and the manifest."""
        known = {blob.sha256 for blob in self.old.manifest.blobs}
        manifest, fetched = self.new.manifest, self.described
        for blob in self.lacking:
            ways = [each.size for each in manifest.deltas if each.blob == blob.sha256 and each.base in {EMPTY, *known}]
            fetched += min([blob.size, *ways])
        return fetched

    def by(self, tool: Callable[[Path, Path, Path], list[str]], scratch: Path) -> int:
        """Return the bytes of the deltas that a tool makes, where they are smaller than the blobs."""
        places = {self.new.manifest.entry: self.old.entry_path}
        graphs = weights_in_order(self.old.entry_path), weights_in_order(self.new.entry_path)
        places |= {new: self.old.blob_path(old) for old, new in zip(*graphs, strict=False)}
        total = self.described
        for blob in self.lacking:
            base, made = places.get(blob.name), scratch / "delta"
            made.unlink(missing_ok=True)
            if base is not None:
                subprocess.run(tool(base, self.new.blob_path(blob.name), made), check=True, capture_output=True)
            total += min(blob.size, made.stat().st_size if made.exists() else blob.size)
        return total


def _zstd(base: Path, new: Path, made: Path) -> list[str]:
    return ["zstd", "-19", "--long=27", f"--patch-from={base}", str(new), "-o", str(made)]


def _bsdiff(base: Path, new: Path, made: Path) -> list[str]:
    return ["bsdiff", str(base), str(new), str(made)]


def measured(root: Path) -> tuple[list[Figure], str]:
    """Publish with a structure that is kept and with one that is chosen anew; return the figures and the table."""
    found = {}
    recipes: Mapping[str, Mapping[str, object]] = {"kept": {"keep_structure": {"fine_tune": GENTLE}}, "chosen anew": {}}
    for name, changes in recipes.items():
        (root / name).mkdir()
        found[name] = Change(*published(root / name, changes))
    lines = ["| structure | bundle, bytes | no delta | zstd patch-from | bsdiff | ours |", "| --- " * 6 + "|"]
    for name, change in found.items():
        ways = [
            change.described + sum(blob.size for blob in change.lacking),
            change.by(_zstd, root),
            change.by(_bsdiff, root),
            change.ours(),
        ]
        lines.append(f"| {name} | {change.whole} | " + " | ".join(f"{way / change.whole:.3f}" for way in ways) + " |")
    kept, anew = (change.ours() / change.whole for change in found.values())
    return [
        Figure("update to a retrained parent, its structure kept: bytes to those of the bundle", kept, 0.3, "x",
               "at_most"),
        Figure("the same, its structure chosen anew", anew, 1.0, "x", "at_most"),
    ], "\n".join(lines)  # fmt: skip
