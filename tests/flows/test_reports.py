"""Reports and history from the registry, as the command line shows them."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import flows.cli
import flows.compress
from flows.reports import StoredReport, save_page
from tasks.errors import RegistryError
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.flows.conftest import Variant
from tests.quality_gates.report.examples import published

runner = CliRunner()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A registry that has only this file's answers; what other tests register and compress stays out of its history."""
    workspace = Workspace.at(tmp_path_factory.mktemp("reports"))
    upstream.register(workspace.tracking_uri)
    return workspace


@pytest.fixture
def answered(world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The registry of `world` with an answer for two devices, one that publishes and one that refuses."""
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(world.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", world.tracking_uri)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(flows.cli, "prepare", lambda _: None)
    flows.compress.compress("tiny", "1", variant("taken"), world)
    flows.compress.compress("tiny", "1", variant("turned-down", device={"budgets": {"size_kb": 2}}), world)
    return world


@pytest.mark.usefixtures("answered")
def test_the_report_says_verdict_and_gates() -> None:
    shown = runner.invoke(flows.cli.app, ["report", "tiny/1", "--device", "taken"])
    assert shown.exit_code == 0, shown.output
    assert "tiny version 1 on taken" in shown.output and "turned-down" not in shown.output
    assert "✓ pass" in shown.output and "accuracy against parent" in shown.output
    refused = runner.invoke(flows.cli.app, ["report", "tiny", "--device", "turned-down"])
    assert "Refused; nothing is deployed" in refused.output and "✗ fail" in refused.output


@pytest.mark.usefixtures("answered")
def test_open_writes_the_page_and_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("flows.cli.webbrowser.open", opened.append)
    monkeypatch.setattr(flows.cli, "HOME", tmp_path)
    shown = runner.invoke(flows.cli.app, ["report", "tiny/1", "--device", "taken", "--open"])
    assert shown.exit_code == 0, shown.output
    page = tmp_path / "reports" / "tiny-v1-taken.html"
    assert opened == [page.as_uri()]
    assert "The loss ledger" in page.read_text() and "Change against the parent" in page.read_text()


@pytest.mark.usefixtures("answered")
def test_history_has_a_line_per_answer() -> None:
    shown = runner.invoke(flows.cli.app, ["history", "tiny"])
    assert shown.exit_code == 0, shown.output
    taken = next(line for line in shown.output.splitlines() if re.search(r" 1 +taken ", line))
    refused = next(line for line in shown.output.splitlines() if re.search(r" 1 +turned-down ", line))
    assert "published" in taken and "deployed" in taken and "kB" in taken
    assert "refused" in refused and "deployed" not in refused
    assert "2,000" in shown.output or "2.0 kB" in shown.output


@pytest.mark.parametrize(
    "changed", [{"model": "../x"}, {"device": "/etc/x"}, {"version": "1/../../x"}, {"device": "a\0b"}]
)
def test_a_stored_report_whose_names_are_paths_is_not_written(tmp_path: Path, changed: dict[str, str]) -> None:
    stored = StoredReport(published().model_copy(update=changed))
    with pytest.raises(RegistryError, match=r"report.json: expected names of a model, .* which is a path; the stored"):
        save_page(stored, tmp_path / "reports" / "deep")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["report", "nobody"], "nobody"),
        (["report", "tiny/99"], "answer for version 99, got answers for 1"),
        (["report", "tiny/1", "--device", "toaster"], "version 1 on toaster"),
        (["history", "nobody"], "nobody"),
        (["history", "tiny", "--device", "toaster"], "an answer on toaster"),
    ],
)
@pytest.mark.usefixtures("answered")
def test_what_is_not_there_is_one_sentence(command: list[str], said: str) -> None:
    result = runner.invoke(flows.cli.app, command)
    assert isinstance(result.exception, RegistryError)
    assert said in str(result.exception)
