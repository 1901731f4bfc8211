"""The trigger of a run: the person or the Prefect deployment that started it."""

import getpass
import os
import socket
from dataclasses import dataclass

from prefect.runtime import flow_run

from tasks.patience import deployment_name, is_within_another

TRIGGER = ("mlflow.user", "mlflow.source.name", "mlflow.source.type", "edgewright.started_by")
"""Names of the tags that a trigger is shown by."""


@dataclass(frozen=True)
class Trigger:
    """A person or a deployment that started a run: in a sentence, as MLflow's Source column has it, and the user."""

    sentence: str
    source: str
    kind: str
    user: str

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which MLflow shows user and source, and the sentence."""
        return dict(zip(TRIGGER, (self.user, self.source, self.kind, self.sentence), strict=True))


def trigger(cause: str = "") -> Trigger:
    """Return the trigger of this run, which was started for a cause. It holds no address and no environment."""
    user, host = user_name(), socket.gethostname()
    why = f": {cause}" if cause else ""
    if name := deployment_name():
        source = f"Prefect deployment {name}"
        return Trigger(f"{source}, flow run {flow_run.name}, as {user} on {host}{why}", source, "JOB", user)
    flow = "reconcile" if is_within_another() else "compress"
    return Trigger(f"{user} on {host}, by hand with {flow}{why}", f"edgewright {flow}", "LOCAL", user)


def user_name() -> str:
    """Return the name of the user; in a container that knows none, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
