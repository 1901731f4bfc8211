"""Warnings of the pipeline's logger, and a registry for the tests of this folder."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest


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


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of an empty MLflow store on SQLite."""
    folder: Path = tmp_path_factory.mktemp("registry")
    return f"sqlite:///{folder}/mlflow.db"
