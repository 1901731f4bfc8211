"""One real serving process, which the independent clients of a module share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.models import linear_model
from tests.edge_runtime.server.served_process import ServedProcess


@pytest.fixture(scope="module")
def defects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    """A process that serves the linear model as `defects`, version 3."""
    folder: Path = tmp_path_factory.mktemp("served")
    manifest = write(folder / "target", linear_model(folder / "linear.onnx"), model="defects")
    with ServedProcess(("--bundle", manifest), folder) as served:
        served.wait_for_note("READY=1")
        yield served
