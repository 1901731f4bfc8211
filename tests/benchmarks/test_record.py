"""The record of a benchmark: a missed goal stays in it."""

import json
import math
from pathlib import Path

import pytest

from tests.benchmarks.record import Figure, record


def test_json_and_table_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "tests" / "benchmarks").mkdir(parents=True)
    figures = [
        Figure("step, ratio", 1.1, 1.25, "x", "at_most"),
        Figure("students ahead", 0.0, 0.001, "accuracy", "at_least"),
    ]
    table = record("speed", "make bench-speed", figures, "On a laptop.", tmp_path)
    rows = json.loads((tmp_path / ".edgewright" / "bench" / "speed.json").read_text())
    assert rows == [
        {"figure": "step, ratio", "value": 1.1, "goal": 1.25, "unit": "x", "holds": True},
        {"figure": "students ahead", "value": 0.0, "goal": 0.001, "unit": "accuracy", "holds": False},
    ]
    assert (tmp_path / "tests" / "benchmarks" / "speed.md").read_text() == table
    assert "| step, ratio | 1.1 x | at most 1.25 x | yes |" in table
    assert "| **no** |" in table and table.endswith("On a laptop.\n")


@pytest.mark.parametrize("bound", ["at_most", "at_least"])
def test_a_figure_that_is_no_number_holds_nothing(bound: str) -> None:
    assert not Figure("a", math.nan, 1, "", bound).holds  # type: ignore[arg-type]
