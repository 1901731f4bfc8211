"""Tables at the widths of terminals: names stay whole, and nothing that does not fit is lost."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from deployments.device import shipped_devices
from flows.console import frontier_table, outcome_table, table_of_history
from flows.listings import devices_table, plan_table
from flows.terminal_tables import Column, Row, TerminalTable
from quality_gates.foresight import JointChance
from quality_gates.gates import PlanLine
from quality_gates.report import HistoryRow
from tasks.outcomes import DeviceOutcome, Outcome
from tests.quality_gates.report import examples
from tests.tasks.outcomes.recorded import NEW

WIDTHS = [80, 100, 120]
DEVICE = "arm-board-of-the-packing-line"
WHY = "Accuracy on scratches fell by 4.0 points, more than the 2.0 points that the gate against deployed allows."


def shown(table: TerminalTable, width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return file.getvalue().splitlines()


def in_words(lines: Sequence[str]) -> str:
    return " ".join(" ".join(lines).split())


def history_rows(**changed: object) -> list[tuple[str, HistoryRow]]:
    whole = {
        "version": "12", "when": "2026-11-26 10:00", "published": True, "release": 7, "now": "deployed",
        "accuracy": 0.953, "critical": 0.912, "figures": examples.resources(), **changed,
    }  # fmt: skip
    refused = whole | {"version": "13", "published": False, "release": None, "now": "", "why": WHY}
    return [(DEVICE, HistoryRow.model_validate(each)) for each in (whole, refused)]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_history_is_whole_at_every_width(width: int) -> None:
    lines = shown(table_of_history("defects", history_rows()), width)
    assert max(map(len, lines)) <= width and "…" not in "".join(lines)
    assert sum(DEVICE in line for line in lines) == 2
    row = next(line for line in lines if "published" in line)
    assert "deployed" in row and " 7 " in row
    assert WHY in in_words(lines)
    assert "2026-11-26 10:00" in in_words(lines) and "13.8 kB" in in_words(lines)


def test_a_reason_stands_below_its_row_and_beside_it_where_there_is_room() -> None:
    narrow = shown(table_of_history("defects", history_rows()), 140)
    at = next(number for number, line in enumerate(narrow) if "refused" in line)
    assert WHY[:20] not in narrow[at] and narrow[at + 1].startswith("    Accuracy on scratches")
    (wide,) = [line for line in shown(table_of_history("defects", history_rows()), 300) if "refused" in line]
    assert wide.endswith(WHY)


def test_what_is_least_needed_goes_below_first() -> None:
    heading = shown(table_of_history("defects", history_rows()), 80)[1]
    assert heading.split() == ["version", "device", "decision", "release", "now", "accuracy"]
    assert "when (UTC) 2026-11-26 10:00, critical 91.2 %, size 13.8 kB, p50 0.061 ms" in in_words(
        shown(table_of_history("defects", history_rows()), 80)
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_devices_are_whole_at_every_width(width: int) -> None:
    devices = shipped_devices()
    lines = shown(devices_table(devices), width)
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines if line.split()[0] in {d.name for d in devices}] == [
        device.name for device in devices
    ]
    assert all(device.description in in_words(lines) for device in devices)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_frontier_is_whole_at_every_width(width: int) -> None:
    content = examples.refused()
    lines = shown(frontier_table(content), width)
    assert max(map(len, lines)) <= width
    for point in content.points:
        assert any(point.label in line for line in lines) and point.note in in_words(lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_keeps_the_names_of_gates_whole(width: int) -> None:
    gate = "recall on scratches of the packing line against deployed"
    line = PlanLine(gate, 1200, 99_000, "no: " + "more rows, " * 9)
    lines = shown(plan_table("recipe on press", [line], JointChance(0.1, {gate: 0.1}, (), 1200, None, 0)), width)
    assert any(gate in line for line in lines) and max(map(len, lines)) <= width
    assert ("rows 1,200" in in_words(lines)) == (width == 80) and "more rows, more rows" in in_words(lines)


def test_a_name_that_is_wider_than_the_terminal_is_folded_and_not_cut() -> None:
    name = "x" * 50
    lines = shown(TerminalTable("t", [Column("name"), Column("b", spare=1)], [Row((name, "value"))]), 30)
    assert "".join(lines[2:4]) == name and in_words(lines).endswith("b value")


def line(**changed: object) -> DeviceOutcome:
    return DeviceOutcome.model_validate(NEW | {"device": DEVICE, "reasons": ()} | changed)


def summary(*lines: DeviceOutcome) -> list[str]:
    outcome = {"model": "m", "version": "2", "recipe": "r", "recipe_digest": "", "run_id": "", "answer": "published"}
    return shown(outcome_table([Outcome.model_validate(outcome | {"devices": lines})]), 80)


def of_three(parent: float, candidate: float) -> dict[str, float | None]:
    return {"parent": parent, "deployed": None, "candidate": candidate}


def test_a_version_that_a_person_released_against_its_gates_is_called_approved() -> None:
    approval = {
        "name": "Ada", "reason": "r", "given": "2026-01-01", "until": "2027-01-01", "verdict_sha256": "a" * 64,
        "file_sha256": "b" * 64, "run_key": "k",
    }  # fmt: skip
    said = summary(line(published=True, verdict="overridden", approval=approval), line(published=True, verdict="pass"))
    assert [text.split()[2] for text in said[2:4]] == ["approved", "published"]


def test_errors_are_called_scores_and_rounded_alike() -> None:
    errors = {"device": "press", "scores_are_shares": False, "critical_slice": of_three(-0.2, -0.09871)}
    said = summary(line(accuracy=of_three(-0.115, -0.12), **errors), line(accuracy=of_three(-1.5, -0.0987), **errors))
    assert "score" in said[1] and "accuracy" not in said[1]
    assert "−0.12 > −0.12" in said[2] and "−1.50 > −0.10" in said[3] and "−0.20 > −0.10" in said[2]
    assert "accuracy" in summary(line())[1]


def test_the_history_and_the_frontier_of_errors_speak_of_scores_rounded_alike() -> None:
    first, second = history_rows(accuracy=-0.115, critical=-0.12, scores_are_shares=False)
    told = in_words(shown(table_of_history("m", [first, second]), 120))
    assert "score" in told and "accuracy" not in told.lower().replace("accuracy on scratches", "")
    assert "−0.115 −0.120" in told
    content = examples.refused()
    points = tuple(
        point.model_copy(update={"accuracy": value})
        for point, value in zip(content.points[:3], (-0.115, -0.09871, -0.12), strict=True)
    )
    lines = shown(frontier_table(content.model_copy(update={"points": points, "scores_are_shares": False})), 120)
    assert "score" in lines[1] and all(text in in_words(lines) for text in ("−0.115", "−0.099", "−0.120"))
