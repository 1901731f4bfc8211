"""The environment of every test: nothing phones home, no library unpickles by default, and no CI is seen."""

import logging
import os

import pytest

from flows.environment import QUIET

os.environ.update(QUIET)
for name in ("CI", "GITHUB_ACTIONS", "COLUMNS", "LINES"):
    os.environ.pop(name, None)  # torch, typer, rich and others behave differently under them; users do not have them
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))  # they share the cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the file of long tests first, so that no core waits for it alone at the end."""
    items.sort(key=lambda item: item.path.name != "test_changes.py")


@pytest.fixture(autouse=True)
def log_as_at_first() -> None:
    """Forget what earlier tests of this process have made of the project's log and the root's: programs begin so."""
    logger = logging.getLogger("edgewright")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    logging.getLogger().setLevel(logging.WARNING)
