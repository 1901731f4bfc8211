"""Two registered members of a family, once for all tests."""

import pytest

from tests.tasks.families.tiny_families import HEADS, model, register


@pytest.fixture(scope="session")
def registered_members(tracking_uri: str) -> str:
    """The tracking URI of a registry that has version 1 of each member."""
    for name, outputs in HEADS.items():
        register(tracking_uri, f"tiny-{name}", model(outputs))
    return tracking_uri
