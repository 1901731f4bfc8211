"""A carried repository that offers one release, and the device that it is carried to."""

from pathlib import Path

import pytest

from tests.edge_runtime.device.carrying import CarriedRepository


@pytest.fixture
def carried(tmp_path: Path) -> CarriedRepository:
    made = CarriedRepository(tmp_path)
    made.offer(1)
    return made
