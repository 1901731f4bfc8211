"""The table and the sentences of `edgewright compress --dry-run`."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import flows.commands.cost_table as costs
from flows.commands import print_cost
from tasks.compression import CostEstimate, CostLine
from tasks.workspace import Workspace
from tests.end_to_end.tiny.upstream import MODEL
from tests.flows.conftest import Variant

ESTIMATE = CostEstimate(
    (CostLine("pruning rounds", 6, 120.0), CostLine("measured files, camera", 14, 3.0)),
    step_s=0.05, row_s=0.001, alone_s=0.002, memory_mb=812.4, disk_mb=40.0, free_mb=30.0,
)  # fmt: skip


def printed(thing: object, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(thing)
    return file.getvalue()


def test_the_table_adds_up_and_fits_80_columns() -> None:
    lines = printed(costs.cost_table("defects", ESTIMATE)).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[-2:] for line in lines[2:]] == [["12", "min"], ["42", "s"]]


def test_a_disk_without_room_is_told() -> None:
    first, measured, memory, room = costs.cost_sentences(ESTIMATE)
    assert first.startswith("At most about 13 min") and "a training step takes 50 ms" in measured
    assert "about 812 MiB" in memory and room.startswith("That does not fit")


def test_a_dry_run_measures_and_records_nothing(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workspace, "from_environment", classmethod(lambda _: world))
    file = io.StringIO()
    runs = _runs(world)
    print_cost(Console(file=file, width=80), MODEL, "1", Path(variant("dry")))
    assert "pruning rounds" in file.getvalue() and "a training step takes" in file.getvalue()
    assert _runs(world) == runs


def _runs(world: Workspace) -> list[str]:
    from tasks.registry import RegistryView

    view = RegistryView.read(world.tracking_uri)
    return sorted(map(repr, view.identities))
