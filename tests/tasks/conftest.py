"""One embedded registry for all tests of the tasks: making its tables takes longer than most of them."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.device import DeviceProfile, EmulatedAnswers
from tasks.compression import rung_files
from tasks.device_link import measuring as available
from tasks.job import Job
from tasks.registry import register_upstream
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.tiny import FEATURES, device, example, job, network


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real MLflow store on SQLite."""
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture(scope="session")
def registered(tracking_uri: str) -> str:
    """Name of a model with version 1, registered as an upstream team does."""
    register_upstream(tracking_uri, "tiny", network(), example(), {"epochs": 1})
    return "tiny"


@pytest.fixture(autouse=True)
def untimed_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer is faster in float, so that no test's file depends on this machine's clock."""
    monkeypatch.setattr(rung_files, "faster_in_float", lambda *_: ())


@pytest.fixture
def workspace(tmp_path: Path, tracking_uri: str) -> Workspace:
    """Places of its own for every test, on the shared registry."""
    return Workspace.at(tmp_path / "home", tracking_uri)


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of an MLflow server that is down."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """Warnings of the pipeline's logger, whatever other tests have set it to."""
    messages: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler = Kept(logging.WARNING)
    logger = logging.getLogger("edgewright")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of another class than the device's, whatever the tests run on."""
    monkeypatch.setattr(available, "this_instruction_set", lambda: "avx512_vnni")


@pytest.fixture
def emulated() -> DeviceProfile:
    return device(answers=EmulatedAnswers(kind="emulated", cpu="Haswell", timeout_s=120))


@pytest.fixture
def tiny(tmp_path: Path) -> Job:
    return job(Workspace.at(tmp_path / "home", "sqlite:///unused"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "linear.onnx", FEATURES)
