"""Real servers, started at the first test that asks for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.servers import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The services of docker/compose.yaml as processes, none of them started; their logs stay in the folder."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def mlflow_server(stack: Stack) -> str:
    """Address of a running MLflow server."""
    stack.start("mlflow")
    return stack.mlflow


@pytest.fixture(scope="session")
def prefect_server(stack: Stack) -> str:
    """Address of the API of a running Prefect server."""
    stack.start("prefect")
    return stack.prefect


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test of this folder twenty minutes: servers start ten times slower on a machine that is as busy."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1200))
