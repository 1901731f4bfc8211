"""Flows as plain functions on a tiny model, with MLflow on SQLite and without Prefect's engine."""

from functools import partial
from pathlib import Path

import pytest

from tasks.measurement import latency_in_turns
from tasks.selection import ladder
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.variants import TINY, Variant, take_off_decorators, write_variant

__all__ = ["TINY", "Variant"]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    take_off_decorators(monkeypatch)


@pytest.fixture
def in_turns() -> None:
    """Time models in turns, as users do. Other tests of flows keep the times of single measurements, to be quick."""


@pytest.fixture(autouse=True)
def quickly_timed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_in_turns, "AGAIN_AFTER_S", ())  # on a busy machine the times never compare
    if "in_turns" not in request.fixturenames:
        monkeypatch.setattr(ladder, "timed_in_turns", lambda _context, evidence, *_: evidence)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose registry has version 1 of the model `tiny`; the stage store is shared by all tests."""
    workspace = Workspace.at(tmp_path_factory.mktemp("world"))
    upstream.register(workspace.tracking_uri)
    return workspace


@pytest.fixture
def variant(tmp_path: Path) -> Variant:
    """Write the tiny recipe with some keys changed; returns its path."""
    return partial(write_variant, tmp_path)
