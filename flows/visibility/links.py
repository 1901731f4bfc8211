"""Places where people find a report: a link where MLflow has a server, else the command that shows it."""

import os
from dataclasses import dataclass

from tasks.outcomes import REPORT, DeviceOutcome
from tasks.registry import Runs

PAGES = "EDGEWRIGHT_MLFLOW_PAGES"
"""Address under which people open MLflow, where it is another one than the worker's."""


@dataclass(frozen=True)
class ReportPlaces:
    """The pages of one model's reports; `address` is that of MLflow's pages, None where it has no server."""

    address: str | None
    experiment: str

    @classmethod
    def of(cls, tracking_uri: str, model: str) -> "ReportPlaces":
        """Look up the model's experiment. Raises RegistryUnavailable."""
        seen = os.environ.get(PAGES) or tracking_uri
        scheme, _, rest = seen.partition("://")
        host = rest.rpartition("@")[2].rstrip("/")  # a login is nothing to show
        address = f"{scheme}://{host}" if scheme in {"http", "https"} else None
        return cls(address, Runs(tracking_uri, model).experiment)

    def link(self, line: DeviceOutcome) -> str | None:
        """Return the address of a device's report in MLflow; None where no server shows it."""
        if self.address is None:
            return None
        return f"{self.address}/#/experiments/{self.experiment}/runs/{line.run_id}/artifacts/{REPORT}"

    def in_words(self, line: DeviceOutcome) -> str:
        """Return where the report is: a link, or the run in MLflow and the command."""
        command = f"edgewright report {line.model}/{line.version} --device {line.device}"
        return self.link(line) or f"{command} (run {line.run_id})"
