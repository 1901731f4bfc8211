"""Runs `compress` in child processes that are killed with SIGKILL at chosen points: `python -m ... HOME`.

The children are forked from a process that has imported everything and computed nothing, to save the imports. Each
child says in a file that it has reached its point and waits there for its death. Prints one JSON line per child.
"""

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.without_prefect import remove_decorators

remove_decorators()

import flows.compress  # noqa: E402
from tasks.registry import EdgeModels  # noqa: E402
from tasks.store import StageStore  # noqa: E402
from tasks.workspace import Workspace  # noqa: E402
from tests.end_to_end.tiny import upstream  # noqa: E402

RECIPE = str(Path(__file__).parent / "tiny" / "recipes" / "tiny.yaml")
POINTS = {
    "parent export": ("tasks.compression.float_models", "export_onnx"),
    "fine-tuning": ("tasks.compression.distillation_targets", "fine_tune"),
    "quantization": ("model_compression.quantization", "quantize_after_training"),
    "measurement": ("tasks.measurement.device_measurement", "measure"),
    "look": ("tasks.selection.ladder", "_evidence"),
    "acceptance": ("tasks.measurement.acceptance", "measure"),
    "bundle": ("tasks.delivery.destinations", "write_bundle"),
    "aliases": ("tasks.registry.edge_models", "EdgeModels.release"),
    "device's answer": ("flows.compress", "record_line"),
    "answer": ("flows.compress", "record_outcome"),
}
AFTER_THE_ALIAS = ("device's answer", "answer")
REACH_S = 90.0


def main(home: Path) -> None:
    workspace = Workspace.at(home)
    _child("register 1", lambda: upstream.register(workspace.tracking_uri, seed=0))
    for point in POINTS:
        _child(point, lambda: _compress("1", workspace), home, point)
    _child("finish 1", lambda: _compress("1", workspace))
    _child("register 2", lambda: upstream.register(workspace.tracking_uri, seed=1))
    for point in AFTER_THE_ALIAS:
        _child(point, lambda: _compress("2", workspace), home, point)
    _child("finish 2", lambda: _compress("2", workspace))
    _child("again 2", lambda: _compress("2", workspace))


def _compress(version: str, workspace: Workspace) -> None:
    outcome = flows.compress.compress(upstream.MODEL, version, RECIPE, workspace)
    (workspace.home / f"outcome-{version}.json").write_text(outcome.model_dump_json())


def _child(name: str, work: Callable[[], object], home: Path | None = None, point: str | None = None) -> None:
    started = time.monotonic()
    reached = home / f"reached-{os.getpid()}-{time.monotonic_ns()}" if home else None
    pid = os.fork()
    if pid == 0:
        _run(work, point, reached)
    fired = reached is not None and _wait_and_kill(pid, reached)
    unfinished = [str(path.name) for path in home.glob("store/*/.tmp-*")] if home else []
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    code = None if killed else os.waitstatus_to_exitcode(status)
    seconds = round(time.monotonic() - started, 1)
    line = {"name": name, "fired": fired, "killed": killed, "code": code, "unfinished": unfinished, "seconds": seconds}
    print(json.dumps(line), flush=True)  # noqa: T201


def _run(work: Callable[[], object], point: str | None, reached: Path | None) -> None:
    """The child: works, or dies on the way."""
    try:
        _count_stages()
        if point is not None and reached is not None:
            _stop_at(point, reached)
        work()
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)
    os._exit(0)


def _count_stages() -> None:
    """Append every stage that was computed to the end to a file in the workspace."""
    compute = StageStore._compute

    def counted(self: StageStore, name: str, key: str, *rest: object) -> object:
        result = compute(self, name, key, *rest)  # type: ignore[arg-type]
        with (self.root.parent / "computed").open("a") as file:
            file.write(f"{name} {key}\n")
        return result

    StageStore._compute = counted  # type: ignore[assignment, method-assign]


def _stop_at(point: str, reached: Path) -> None:
    module, path = POINTS[point]
    owner = importlib.import_module(module)
    *classes, attribute = path.split(".")
    for name in classes:
        owner = getattr(owner, name)

    def stop(*_: object, **__: object) -> None:
        reached.touch()
        time.sleep(REACH_S)

    setattr(owner, attribute, stop)


def _wait_and_kill(pid: int, reached: Path) -> bool:
    deadline = time.monotonic() + REACH_S
    while not reached.exists() and time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    return reached.exists()


if __name__ == "__main__":
    if EdgeModels is None:
        raise SystemExit("the registry was not imported")
    main(Path(sys.argv[1]))
