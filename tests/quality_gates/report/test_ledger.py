"""The loss ledger: each stage's change against the stage before it, and all of them together."""

import pytest

from quality_gates.report import LedgerRow, SliceValue
from quality_gates.report.tables import ledger_of


def row(stage: str, accuracy: float | None, eight: float | None, seconds: float | None = 2.0) -> LedgerRow:
    return LedgerRow(stage=stage, accuracy=accuracy, slices=(SliceValue(name="8", value=eight),), seconds=seconds)


def test_changes_are_against_the_stage_before_and_the_last_line_is_their_sum() -> None:
    found = ledger_of([row("parent", 0.9, 0.8), row("round 1", 0.85, 0.8), row("PTQ", 0.87, 0.6)])
    assert found is not None
    assert found.columns == ("Accuracy", "8")
    changes = [[change for _, change in line.figures] for line in found.lines]
    assert changes[0] == [None, None]
    assert changes[1:] == [pytest.approx(pair) for pair in ([-0.05, 0], [0.02, -0.2], [-0.03, -0.2])]
    assert [line.row.stage for line in found.lines] == ["parent", "round 1", "PTQ", "all of them"]
    assert found.lines[-1].row.seconds == 6


def test_two_stages_need_no_sum() -> None:
    found = ledger_of([row("parent", 0.9, 0.8), row("PTQ", 0.8, 0.8)])
    assert found is not None and len(found.lines) == 2


def test_a_missing_figure_leaves_its_changes_out_and_no_others() -> None:
    found = ledger_of([row("parent", 0.9, 0.8, None), row("round 1", None, 0.7, None), row("PTQ", 0.8, 0.6, None)])
    assert found is not None
    assert [line.figures[0][1] for line in found.lines] == [None, None, None, pytest.approx(-0.1)]
    assert [line.figures[1][1] for line in found.lines][1:] == pytest.approx([-0.1, -0.1, -0.2])
    assert found.lines[-1].row.seconds is None


def test_nothing_makes_no_ledger() -> None:
    assert ledger_of([]) is None


def test_the_scores_of_a_ledger_of_errors_are_rounded_alike() -> None:
    ledger = ledger_of([row("parent", -0.115, -0.0987), row("QAT", -0.12, None)], shares=False)
    assert ledger is not None
    written = [[ledger.write(value) for value, _ in line.figures] for line in ledger.lines]
    assert written == [["−0.115", "−0.099"], ["−0.120", "–"]]
