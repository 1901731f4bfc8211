"""A home with signing keys, as edgewright keys init makes them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.keys import keys_commands

Edgewright = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home, with passphrases in variables, as unattended commands have them."""
    monkeypatch.setattr(keys_commands, "HOME", tmp_path / "home")
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(tmp_path / "target"))
    for name in ("EDGEWRIGHT_KEYS", "EDGEWRIGHT_KEYS_PASSPHRASE_FILE", "EDGEWRIGHT_NOTIFY", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", "passphrase of the worker")
    monkeypatch.setenv("EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE", "passphrase of the persons")
    return tmp_path / "home"


@pytest.fixture
def edgewright(home: Path) -> Edgewright:
    """Run a command of edgewright on a wide terminal."""
    del home

    def run(*words: object, says: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "250"})
        assert result.exit_code == says, (result.output, result.exception)
        return result

    return run


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    return tmp_path / "offline"


@pytest.fixture
def begun(edgewright: Edgewright, offline: Path, home: Path) -> Path:
    """The home, with a repository for cameras."""
    edgewright("keys", "init", "--offline", offline, "--device", "camera")
    return home
