"""The pareto front of a search."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tasks.compression import ModelFile
from tasks.selection import Attempt
from tasks.selection.search import better, pareto
from tests.tasks.builders import verdict
from tests.tasks.climbing import evidence


def attempt(tmp_path: Path, name: str, right: int, size: int, milliseconds: float = 1.0) -> Attempt:
    path = tmp_path / name
    path.write_bytes(b"0" * size)
    measured = evidence(right, size, milliseconds)
    model: Any = SimpleNamespace()
    rung: Any = SimpleNamespace(title=name)
    return Attempt(model, rung, ModelFile(path, name, 0.0), measured, verdict(), "")


def names(attempts: list[Attempt]) -> list[str]:
    return [each.rung.title for each in pareto(attempts)]


def test_only_what_nothing_else_beats_in_everything_is_on_it(tmp_path: Path) -> None:
    whole = attempt(tmp_path, "whole", 290, 900)
    small = attempt(tmp_path, "small", 280, 300)
    worse = attempt(tmp_path, "worse", 279, 400)
    fast = attempt(tmp_path, "fast", 279, 400, 0.5)
    assert names([whole, small, worse]) == ["whole", "small"]
    assert names([whole, small, fast]) == ["whole", "small", "fast"]


def test_equal_ones_are_all_on_it_and_chance_in_the_third_digit_counts_for_nothing(tmp_path: Path) -> None:
    first, second = attempt(tmp_path, "a", 290, 900, 1.001), attempt(tmp_path, "b", 290, 900, 1.002)
    assert names([first, second]) == ["a", "b"]
    smaller = attempt(tmp_path, "c", 290, 800, 1.004)
    assert names([first, second, smaller]) == ["c"]


def test_what_was_not_measured_is_not_on_it(tmp_path: Path) -> None:
    known = attempt(tmp_path, "a", 290, 900)
    object.__setattr__(
        broken := attempt(tmp_path, "b", 290, 100), "measured", SimpleNamespace(rows=None, resources=None)
    )
    assert names([known, broken]) == ["a"]


def test_better_follows_the_objective() -> None:
    assert better(0.9, 0.8, "accuracy") and not better(0.9, 0.8, "size_bytes")
    assert (
        better(0.8, None, "size_bytes") and not better(None, 0.8, "size_bytes") and not better(None, None, "accuracy")
    )
