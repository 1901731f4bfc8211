"""The command line, with every step that others can see counted: `python -m ... EVENTS AT ARGUMENTS`.

Steps are renames, links, removals and copies in the home and the target, and every call of MLflow's client that writes.
Each is appended to the file EVENTS. Before step AT, counted from 0, the process kills itself with SIGKILL; -1 is never.
Steps are found by Python's audit events and by the names of MLflow's methods, so the pipeline's own code may change.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITES = ("create_", "delete_", "log_", "rename_", "restore_", "set_", "transition_", "update_")
FILES = ("os.rename", "os.link", "os.remove", "os.rmdir", "os.symlink", "shutil.copyfile", "shutil.rmtree")


class Steps:
    """The count of steps of this process."""

    def __init__(self, events: Path, at: int, home: Path) -> None:
        self.descriptor = os.open(events, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.at = at
        self.home = home
        self.count = 0

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count an operation on a file, as Python reports it before it is done."""
        if event in FILES:
            path = str(arguments[1] if event in ("os.rename", "os.link", "shutil.copyfile") else arguments[0])
            if path.startswith(str(self.home)) and "/prefect/" not in path:
                self.step(f"{event} {path.removeprefix(str(self.home))}")

    def step(self, name: str) -> None:
        """Count a step; never return from the one to die at."""
        os.write(self.descriptor, f"{name}\n".encode())
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method of MLflow's client that counts itself first."""

        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            self.step(f"mlflow.{name}")
            return method(*arguments, **named)

        return call


def main(events: Path, at: int, arguments: list[str]) -> None:
    import flows.cli
    from flows.environment import HOME, prepare

    prepare(HOME)
    from mlflow import MlflowClient

    steps = Steps(events, at, HOME.resolve())
    for name in [name for name in vars(MlflowClient) if name.startswith(WRITES)]:
        setattr(MlflowClient, name, steps.counted(name, getattr(MlflowClient, name)))
    sys.addaudithook(steps.audit)
    sys.argv = ["edgewright", *arguments]
    flows.cli.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
