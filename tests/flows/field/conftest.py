"""A home with an enrolled device and a box, on one real MLflow store for all tests of this folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.field import device_commands, ingest_commands
from tests.tasks.field.reporting_device import ReportingDevice

Edgewright = Callable[..., Result]


@pytest.fixture(scope="session")
def field_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real MLflow store on SQLite."""
    return f"sqlite:///{tmp_path_factory.mktemp('field') / 'mlflow.db'}"


@pytest.fixture
def home(tmp_path: Path, field_store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (device_commands, ingest_commands):
        monkeypatch.setattr(module, "HOME", tmp_path / "home")
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", field_store)
    monkeypatch.delenv("EDGEWRIGHT_BOX", raising=False)
    return tmp_path / "home"


@pytest.fixture
def edgewright(home: Path) -> Edgewright:
    """Run a command of edgewright on a terminal of a width."""
    del home

    def run(*words: object, says: int = 0, width: int = 250, typed: str | None = None) -> Result:
        arguments = [str(word) for word in words]
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": str(width)}, input=typed)
        assert result.exit_code == says, (result.output, result.exception)
        return result

    return run


@pytest.fixture
def device(tmp_path: Path) -> ReportingDevice:
    """A device that nobody has enrolled yet; its public key is in the file `key.json`."""
    made = ReportingDevice(tmp_path / "device")
    (tmp_path / "key.json").write_bytes(made.public.to_bytes())
    return made


@pytest.fixture
def key_file(device: ReportingDevice, tmp_path: Path) -> Path:
    del device
    return tmp_path / "key.json"


@pytest.fixture
def enrolled(edgewright: Edgewright, device: ReportingDevice, key_file: Path) -> ReportingDevice:
    """The device, enrolled as `press`."""
    edgewright("devices", "enrol", "press", key_file, "--fingerprint", device.public.fingerprint)
    return device


@pytest.fixture
def box(tmp_path: Path) -> Path:
    (tmp_path / "box").mkdir()
    return tmp_path / "box"
