"""One new head: a member's next version with the same backbone, brought to a device while its models are asked."""

import copy
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from edge_runtime.bundle import Bundle
from edge_runtime.model_files import head_file
from model_compression.training import FineTuning, fine_tune, predict
from tasks.progress import steps
from tasks.registry import Upstream
from tasks.repository import PINNED, keys_folder
from tests.benchmarks.delivery.retrained import Change
from tests.benchmarks.family.asking_client import asking
from tests.benchmarks.family.beside_members import ASIDE
from tests.benchmarks.family.family_parents import family_recipe, network, preparing, register_member, workloads
from tests.benchmarks.family.kept_compressions import KEPT, Compressed, compress_once, compress_until_decided
from tests.benchmarks.family.member_recipes import write_recipes
from tests.benchmarks.record import ROOT, Figure
from tests.benchmarks.trajectory.cache import console
from tests.edge_runtime.server.served_process import ServedProcess
from tests.edge_runtime.update.loopback_server import LoopbackServer, running_server

MEMBER = "garment"
FURTHER = FineTuning(2, 128, 1e-3, 1e-4, temperature=1, distillation_weight=0, seed=1)
LONGEST_S = 900


@dataclass(frozen=True)
class HeadUpdate:
    """Bytes of the bundle, of what one head changed in it and of what was fetched, requests meanwhile, and failures.

    `beside` names the graphs that changed and are not the head's.
    """

    whole: int
    changed: int
    fetched: int
    beside: tuple[str, ...]
    requests: int
    failures: tuple[str, ...]


def part(root: Path) -> tuple[list[Figure], str]:
    """Publish the new head, and let a device fetch it."""
    recipes = write_recipes(KEPT / "recipes")
    family = compress_once(recipes.family, preparing(recipes.device, tuple(recipes.members)))
    change, first = published(family, recipes.family)
    found = updated(root, family, change, first, workloads()[MEMBER].split("test").inputs)
    return figures(found), "\n".join(f"- {failure}" for failure in found.failures[:10])


def figures(found: HeadUpdate) -> list[Figure]:
    """Return the figures of the update."""
    requests = f"requests of {found.requests} that failed while it was swapped in"
    return [
        Figure("one new head: bytes fetched, to those of its changed blobs", found.fetched / found.changed, 1.1, "x",
               "at_most"),
        Figure("one new head: its changed blobs, to those of the bundle", found.changed / found.whole, ASIDE, "x",
               "at_most"),
        Figure("one new head: graphs beside its own that changed", len(found.beside), 0, "", "at_most"),
        Figure(f"one new head: {requests}", len(found.failures), 0, "", "at_most"),
    ]  # fmt: skip


def published(family: Compressed, recipe: Path) -> tuple[Change, Path]:
    """Publish the family with a new head, where it is not yet; return the change, and a copy of the folder before it.

    Raises RuntimeError where it is not published.
    """
    first = family.home.parent / "first-target"
    if not first.exists():
        shutil.rmtree(part := first.with_suffix(".part"), ignore_errors=True)
        shutil.copytree(family.workspace.target, part)
        part.rename(first)
    model = next(each.model for each in family_recipe().members if each.name == MEMBER)
    if len(Upstream(family.workspace.tracking_uri).versions(model)) == 1:
        register_member(family.workspace, MEMBER, _trained_further())
    compress_until_decided(family.home, family.model, "--recipe", str(recipe))
    releases = family.releases()
    if len(releases) != 2:
        raise RuntimeError(f"expected 2 releases of {family.model} in {family.home}, got {len(releases)}")
    change = Change(*releases)
    if not change.lacking:
        raise RuntimeError(
            f"expected a new head of {MEMBER} in release 2 of {family.model}, got the files of release 1"
        )
    return change, first


def updated(root: Path, family: Compressed, change: Change, first: Path, rows: tuple[np.ndarray, ...]) -> HeadUpdate:
    """Let the real agent bring the second release to a device while a client asks for the first of the rows."""
    row = {spec: array[:1] for spec, array in zip(change.old.manifest.inputs, rows, strict=True)}
    with running_server() as server:
        configuration = _configured(root, family, server)
        _serve_files(server, first)
        _update(configuration)
        with ServedProcess(("--config", configuration), root) as served:
            served.wait_for_note("READY=1")
            with asking(served.address, family.model, row) as client:
                client.wait_for(change.old.manifest.version)
                before = server.sent
                _serve_files(server, family.workspace.target)
                _update(configuration)
                fetched = server.sent - before
                client.wait_for(change.new.manifest.version)
    changed = sum(blob.size for blob in change.lacking)
    return HeadUpdate(
        sum(blob.size for blob in change.new.manifest.blobs), changed, fetched, changed_beside(change),
        client.requests, tuple(client.failures),
    )  # fmt: skip


def changed_beside(change: Change) -> tuple[str, ...]:
    """Return the names of the graphs that changed, but for the head's own."""
    before = _digests(change.old)
    return tuple(
        name
        for name, digest in _digests(change.new).items()
        if before.get(name) != digest and name != head_file(MEMBER)
    )


def _digests(bundle: Bundle) -> dict[str, str]:
    return {name: bundle.manifest.blob(name).sha256 for name in bundle.manifest.graphs}


def _trained_further() -> nn.Module:
    """Return the member's model with a head that was trained further on the features of the same backbone."""
    parts, train = network(), workloads()[MEMBER].split("train")
    head = copy.deepcopy(parts.heads[[member.name for member in family_recipe().members].index(MEMBER)])
    console.print(f"the head of {MEMBER} is trained further", markup=False)
    features = predict(parts.backbone, train.inputs)
    with steps("upstream trains") as progress:
        fine_tune(head, (features,), train.targets, None, workloads()[MEMBER].loss, FURTHER, progress)
    return nn.Sequential(parts.backbone, head).eval()


def _configured(root: Path, family: Compressed, server: LoopbackServer) -> Path:
    """Write the configuration of a device that was shipped with the root of the home's repository."""
    lines = {
        "device": family.device, "url": server.url, "state": root / "state",
        "root": keys_folder(family.home) / PINNED,
    }  # fmt: skip
    tables = ["[network]", 'proxy = ""', "[trial]", "memory_mb = 2048"]
    path = root / "device.toml"
    path.write_text("\n".join([f'models = ["{family.model}"]', *(f'{k} = "{v}"' for k, v in lines.items()), *tables]))
    return path


def _serve_files(server: LoopbackServer, folder: Path) -> None:
    server.files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _update(configuration: Path) -> None:
    """Run the agent to its end. Raises RuntimeError where that is no good one."""
    command = [sys.executable, "-m", "edge_runtime", "update", "--config", str(configuration)]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"no_proxy": "*"}, capture_output=True, text=True, timeout=LONGEST_S,
        check=False,
    )  # fmt: skip
    if ended.returncode:
        raise RuntimeError(f"the agent ended with {ended.returncode}: {ended.stderr}")
