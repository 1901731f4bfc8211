"""Reports that are read from the registry for the terminal."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quality_gates.report import ReportContent, render_html
from tasks.errors import RegistryError
from tasks.outcomes import CONTENT, device_answers, read_report
from tasks.registry import Runs, Upstream
from tasks.workspace import Workspace


@dataclass(frozen=True)
class StoredReport:
    """The facts of one device's gate report."""

    content: ReportContent

    @property
    def file_name(self) -> str:
        """The name of a file with the page. Raises RegistryError for names that lead to another folder."""
        name = f"{self.content.model}-v{self.content.version}-{self.content.device}.html"
        if Path(name).name != name or "\0" in name:
            raise RegistryError(
                f"{CONTENT}: expected names of a model, a version and a device, got {name!r}, which is a path; the "
                "stored report was changed: compress the version again"
            )
        return name


def stored_reports(model: str, version: str | None, device: str | None) -> Iterator[StoredReport]:
    """Yield the reports of a version, the newest answered one if none is given, device by device.

    Raises RegistryError where there is no answer, no such version or no such device.
    """
    runs = runs_of(model)
    answered = [line for _, line in device_answers(runs)]
    if not answered:
        raise RegistryError(
            f"model {model}: expected a version that has an answer, got none; run edgewright compress or reconcile, "
            "and check MLFLOW_TRACKING_URI and EDGEWRIGHT_HOME"
        )
    wanted = version or max(answered, key=lambda line: int(line.version)).version
    lines = {line.device: line for line in answered if line.version == wanted}
    chosen = [line for line in lines.values() if device in (None, line.device)]
    if not chosen:
        known = ", ".join(dict.fromkeys(f"{line.version} on {line.device}" for line in answered))
        on = f" on {device}" if device else ""
        raise RegistryError(
            f"model {model}: expected an answer for version {wanted}{on}, got answers for {known}; choose one"
        )
    for line in chosen:
        yield StoredReport(read_report(runs, line.run_id))


def save_page(stored: StoredReport, folder: Path) -> Path:
    """Write a report's page into a folder; returns its absolute path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / stored.file_name
    path.write_text(render_html(stored.content))
    return path


def runs_of(model: str) -> Runs:
    """Return the runs of a registered model; raises RegistryError for a name that nobody registered."""
    uri = Workspace.from_environment().tracking_uri
    Upstream(uri).versions(model)  # a name that nobody registered is an error, not an empty experiment
    return Runs(uri, model)
