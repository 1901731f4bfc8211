"""Approvals that a person gives on the command line."""

from datetime import date, datetime

from quality_gates.errors import ApprovalError
from tasks.delivery import approve_version
from tasks.outcomes import DeviceOutcome
from tasks.workspace import Workspace


def day_of(text: str) -> date:
    """Read the last day of an approval. Raises ApprovalError for another form."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as error:
        raise ApprovalError(
            f"--until: expected a day of the calendar as YEAR-MONTH-DAY, got {text!r}; write it like 2027-01-31"
        ) from error


def approve_subject(subject: str, device: str, *, name: str, reason: str, until: date) -> DeviceOutcome:
    """Publish MODEL/VERSION on a device against its gates. Raises ApprovalError where it may not be approved."""
    model, _, version = subject.partition("/")
    if not version:
        raise ApprovalError(f"expected MODEL/VERSION, got {subject!r}; an approval is for one version")
    workspace = Workspace.from_environment()
    return approve_version(workspace, model, version, device, name=name, reason=reason, until=until)
