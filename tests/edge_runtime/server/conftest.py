"""One real serving process, which the independent clients of a module share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.models import linear_model
from tests.edge_runtime.server.served_process import ServedProcess


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> None:
    """Load the plugin of schemathesis for the one file that needs it: it would cost each run of pytest a second."""
    if file_path.name == "test_protocol_document.py":
        parent.config.pluginmanager.import_plugin("schemathesis.pytest.plugin")


@pytest.fixture(scope="module")
def defects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    """A process that serves the linear model as `defects`, version 3."""
    folder: Path = tmp_path_factory.mktemp("served")
    manifest = write(folder / "target", linear_model(folder / "linear.onnx"), model="defects")
    with ServedProcess(("--bundle", manifest), folder) as served:
        served.wait_for_note("READY=1")
        yield served
