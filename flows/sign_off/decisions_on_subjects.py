"""A person's decision on a version or a run, as the command and the form call it."""

import re

from flows.visibility import tell_decision
from quality_gates.errors import SignOffError
from tasks.delivery import Person, sign_off_version
from tasks.outcomes import DeviceOutcome
from tasks.registry import find_run
from tasks.workspace import Workspace

RUN_ID = re.compile(r"[0-9a-f]{32}")


def decide_on(subject: str, device: str | None, person: Person, *, refuse: bool) -> str:
    """Record a decision on MODEL/VERSION, or on the run of a version or a device; return in words what came of it.

    Raises SignOffError, ApprovalError or RegistryError where it does not count.
    """
    workspace = Workspace.from_environment()
    model, slash, version = subject.strip().rpartition("/")
    run = None
    if not slash and RUN_ID.fullmatch(version):
        run = version
        model, version = find_run(workspace.tracking_uri, run)
    if not model or not version:
        raise SignOffError(
            f"expected MODEL/VERSION or the id of a run in MLflow, got {subject[:80]!r}; name one of them"
        )
    line = sign_off_version(workspace, model, version, device or None, person, refuse=refuse, run=run)
    tell_decision(line, workspace)
    return in_words(line)


def in_words(outcome: DeviceOutcome) -> str:
    """Return what came of a decision in a sentence or two."""
    state = "" if outcome.sign_off is None else f" {outcome.sign_off.sentence}"
    deployed = f" It is deployed as release {outcome.release}." if outcome.published else ""
    return f"{outcome.device}: version {outcome.version}.{state}{deployed}"
