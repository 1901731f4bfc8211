"""A login in the registry's address: it reaches no output, no log and no database of Prefect, whatever goes wrong."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import is_valid_schema, validate

import flows.compress
import flows.reconcile

pytestmark = pytest.mark.end_to_end

USER = "alice"
WRITTEN = ("qz7-x/w@rd", "qz7-x%2Fw%40rd", "qz7-x")
RECIPE = "tests/end_to_end/tiny/recipes/tiny.yaml"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets") / "home"


@pytest.fixture(scope="module")
def ended(home: Path) -> subprocess.CompletedProcess[str]:
    """The end of `reconcile` with a login for a registry that is down."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    environment = kept | {
        "EDGEWRIGHT_HOME": str(home),
        "MLFLOW_TRACKING_URI": f"http://{USER}:qz7-x%2Fw%40rd@127.0.0.1:{port}",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    command = [sys.executable, "-c", "from flows.cli import main; main()", "compress", "tiny", "1", "--recipe", RECIPE]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250, check=False)


def files(home: Path) -> Iterator[tuple[Path, bytes]]:
    for path in home.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


def test_it_is_one_sentence_with_the_address_and_without_the_login(ended: subprocess.CompletedProcess[str]) -> None:
    said = ended.stdout + ended.stderr
    assert ended.returncode == 3, said
    assert "error: MLflow at http://127.0.0.1:" in ended.stderr and "expected an answer" in said
    assert not [secret for secret in WRITTEN if secret in said]
    assert "Traceback" not in said


def test_prefect_knows_the_run_and_not_the_login(ended: subprocess.CompletedProcess[str], home: Path) -> None:
    assert ended.returncode == 3
    [database] = home.glob("prefect/*.db")
    with sqlite3.connect(database) as connection:
        states = connection.execute("SELECT state_type, parameters FROM flow_run").fetchall()
    assert [state for state, _ in states] == ["FAILED"], "Prefect has not stored the run: the test looked at nothing"
    found = [path for path, content in files(home) for secret in WRITTEN if secret.encode() in content]
    assert found == []


@pytest.mark.parametrize("flow", [flows.compress.compress, flows.reconcile.reconcile], ids=lambda flow: str(flow.name))
@pytest.mark.parametrize("scheme", ["http", "https", "postgresql+psycopg2"])
def test_a_prefect_server_refuses_a_workspace_with_a_login_before_it_stores_it(flow: Any, scheme: str) -> None:
    schema = parameter_schema(flow).model_dump_for_openapi()
    given = {"model": "m", "version": "1", "recipe": "r"}
    workspace = {"home": "/h", "target": "/t", "tracking_uri": f"{scheme}://{USER}:qz7-x@host"}
    is_valid_schema(schema)  # raises for one that Prefect cannot check
    assert [error.validator for error in validate({**given, "workspace": workspace}, schema)] != []
    clean = workspace | {"tracking_uri": f"{scheme}://host/a@b"}
    assert validate({**given, "workspace": clean}, schema) == []
    assert validate(given, schema) == []
