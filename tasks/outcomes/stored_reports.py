"""The gate report of a device's run, read from the registry."""

from pydantic import ValidationError

from quality_gates.report import ReportContent
from tasks.errors import RegistryError
from tasks.registry import Runs

CONTENT = "report.json"


def read_report(runs: Runs, run: str) -> ReportContent:
    """Return the content of a device's gate report. Raises RegistryError where it is missing or has another form."""
    try:
        return ReportContent.model_validate_json(runs.read_text(run, CONTENT))
    except ValidationError as error:
        raise RegistryError(
            f"run {run}: expected a {CONTENT} of this release of Edgewright, got another form "
            f"({error.error_count()} differences); compress the version again"
        ) from error
