"""Runs a rollback in child processes that kill themselves before each step in turn: `python -m ... ROOT`.

Steps are those of `killed_command`: what others can see on disk and in the registry. The children are forked from a
process that has imported everything, to save the imports. Prints one JSON line for each step: how the child ended, and
what there is after the same rollback was said again.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mlflow import MlflowClient

from edge_runtime.files import sha256_of
from tasks.delivery import roll_back
from tasks.registry import EdgeModels
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import bundles_in
from tests.edge_runtime.models import linear_model
from tests.end_to_end.killed_command import WRITES, Steps
from tests.tasks.delivery.counter import Counter
from tests.tasks.tiny import FEATURES, job

MODEL, DEVICE, MOST_STEPS = "kills", "bench", 200


def main(root: Path) -> None:
    home, fresh = root / "home", root / "fresh"
    if _child(lambda: _prepare(home)) != 0:
        raise SystemExit("the two releases could not be published")
    shutil.copytree(home, fresh)
    for step in range(MOST_STEPS):
        shutil.rmtree(home)
        shutil.copytree(fresh, home)
        killed = _child(partial(_roll_back, home, root / "events", step))
        again = _child(partial(_roll_back, home, root / "events", -1))
        print(json.dumps({"killed": killed, "again": again, **_census(root)}), flush=True)  # noqa: T201
        if killed != -signal.SIGKILL:
            return


def _prepare(home: Path) -> None:
    """Publish versions 1 and 2 with all that a rollback reads."""
    home.mkdir(parents=True)
    workspace = Workspace.at(home)
    first = Counter(job(workspace, MODEL, "1"), linear_model(home / "v1.onnx", FEATURES, 11))
    client = first.models.client
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, "/nowhere")
    for each in (first, first.other("2")):
        each.keep_records()
        each.publish()


def _roll_back(home: Path, events: Path, at: int) -> None:
    events.unlink(missing_ok=True)
    steps = Steps(events, at, home.resolve())
    for name in [name for name in vars(MlflowClient) if name.startswith(WRITES)]:
        setattr(MlflowClient, name, steps.counted(name, getattr(MlflowClient, name)))
    sys.addaudithook(steps.audit)
    edge = roll_back(Workspace.at(home), MODEL, DEVICE, to=None, by="Ada", reason="it fails at night")
    if edge.source_version != "1":
        raise SystemExit(f"rolled back to version {edge.source_version}")


def _census(root: Path) -> dict[str, object]:
    """Return what there is, read in a process of its own."""
    found = root / "census.json"

    def read() -> None:
        workspace = Workspace.at(root / "home")
        models = EdgeModels(workspace.tracking_uri, MODEL)
        deployed = models.deployed(DEVICE)
        bundles = bundles_in(workspace.target, MODEL, DEVICE)
        found.write_text(json.dumps({
            "deployed": None if deployed is None else deployed.source_version,
            "holds": [[hold.version, hold.is_left] for hold in models.holds(DEVICE)],
            "registered": sorted(edge.source_version for edge in models.releases(DEVICE)),
            "bundles": sorted(bundle.manifest.version for bundle in bundles),
            "file": any(
                bundle.manifest.lineage.get("rolled_back_by") == "Ada"
                and bundle.entry_path.name == sha256_of(workspace.home / "v1.onnx") for bundle in bundles
            ),
        }))  # fmt: skip

    return json.loads(found.read_text()) if _child(read) == 0 else {}


def _child(work: Callable[[], object]) -> int:
    """Run work in a forked process; return its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
