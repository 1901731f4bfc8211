"""States of services, as the supervisor writes them and everybody reads them."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from edge_runtime.files import write_atomic
from flows.services.table import Service

State: TypeAlias = Literal["waiting", "starting", "healthy", "silent", "done", "stopped"]
STATES = "states.json"


@dataclass(frozen=True)
class ServiceState:
    """The state of a service, and how often it was started again."""

    name: str
    state: State = "waiting"
    pid: int | None = None
    restarts: int = 0
    last_code: int | None = None

    def is_ready(self, service: Service) -> bool:
        """Tell whether the service does its work, or has done it."""
        return self.state == ("done" if service.once else "healthy")


def write_states(folder: Path, states: Iterable[ServiceState]) -> None:
    """Replace the states of a folder in one step."""
    write_atomic(folder / STATES, json.dumps([asdict(state) for state in states], indent=1).encode())


def read_states(folder: Path) -> dict[str, ServiceState]:
    """Return what was last written of each service, by name; nothing where nothing was."""
    try:
        return {each["name"]: ServiceState(**each) for each in json.loads((folder / STATES).read_text())}
    except FileNotFoundError:
        return {}
