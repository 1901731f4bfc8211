"""Trials of many units at once: the ones that fail are found among the others, whatever is wrong with them."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from model_compression.pruning.trials import Tried, failing, random_sets

ROWS = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
WIDE = 8


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, WIDE), nn.Linear(WIDE, 3)).eval()


def silence(unit: int) -> Callable[[nn.Module], object]:
    def zeroed(copied: nn.Module) -> None:
        copied[1].weight[:, unit] = 0  # type: ignore[index]

    return zeroed


def trials() -> list[Tried]:
    return [Tried(f"unit {unit}", frozenset({unit}), silence(unit)) for unit in range(WIDE - 1)]


class Removing:
    """A removal of units by zeroing them, with faults for some; it counts its calls and its faults."""

    def __init__(self, fault: str = "", *units: int) -> None:
        self.fault, self.units, self.calls, self.faults = fault, set(units), 0, 0

    def __call__(self, copied: nn.Module, gone: set[int]) -> None:
        self.calls += 1
        bad = gone & self.units
        self.faults += bool(bad)
        if bad and self.fault == "raises":
            raise RuntimeError("sizes differ")
        weight = copied[1].weight.detach().clone()  # type: ignore[index]
        weight[:, [unit + (unit in bad) for unit in gone]] = 0
        copied[1].weight = nn.Parameter(weight)  # type: ignore[index]
        if bad and self.fault == "shape":
            copied[1] = nn.Linear(WIDE, 2)  # type: ignore[operator]


def test_units_that_all_answer_right_are_tried_once() -> None:
    remove = Removing()
    assert failing(model(), (ROWS,), trials(), remove) == {}
    assert remove.calls == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("other", "changes what the model makes"), ("raises", "sizes differ"), ("shape", "3 of them would become 2")],
)
def test_the_units_that_fail_are_found_among_the_others(fault: str, reason: str) -> None:
    remove, whole = Removing(fault, 2, 5), model()
    before = copy.deepcopy(whole.state_dict())
    found = failing(whole, (ROWS,), trials(), remove)
    assert remove.faults >= 3
    assert set(found) == {"unit 2", "unit 5"}
    assert all(reason in each for each in found.values())
    assert all(torch.equal(value, before[name]) for name, value in whole.state_dict().items())


def test_units_without_a_reference_need_only_run_with_their_shape() -> None:
    alone = [Tried("layer", frozenset({3}), None)]
    assert failing(model(), (ROWS,), alone, Removing("other", 3)) == {}
    assert "would become 2" in failing(model(), (ROWS,), alone, Removing("shape", 3))["layer"]


@pytest.mark.parametrize("width", range(1, 12))
def test_random_sets_leave_something_and_some_are_odd(width: int) -> None:
    sets = list(random_sets("layer", width))
    assert sets == list(random_sets("layer", width))
    assert all(0 < len(each) < width and len(set(each)) == len(each) for each in sets)
    assert any(len(each) % 2 for each in sets) or width == 1
