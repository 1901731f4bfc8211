"""The zoo's own judgement: removal that pairs wrongly is noticed, and what did not go through stays in the table."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.benchmarks.zoo.measured.positions import TOLERANCE, differs, places_left
from tests.benchmarks.zoo.table import figures
from tests.benchmarks.zoo.verdicts import outcome_of

KEPT = [0, 2, 3, 6]
WELL = {"ended": True, "seconds": 1.0}


class Mixed(nn.Module):
    """Two convolutions with a norm over channels and a mean between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(1, 8, 3), nn.GroupNorm(1, 8), nn.Conv2d(8, 4, 1)
        self.scale, self.beside = nn.Parameter(torch.ones(1)), nn.Conv2d(1, 4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        return (self.scale * self.second(self.norm(self.first(rows)).relu()) + self.beside(rows)).mean((2, 3))


def pruned(model: nn.Module, read: list[int]) -> nn.Module:
    first, norm, second = (model.get_submodule(name) for name in ("first", "norm", "second"))
    for layer in (first, norm):
        layer.weight.data, layer.bias.data = layer.weight.data[KEPT], layer.bias.data[KEPT]  # type: ignore[index]
    second.weight.data = second.weight.data[:, read]  # type: ignore[index]
    norm.num_channels = len(KEPT)  # type: ignore[assignment]
    return model


def seen(read: list[int], scale: float = 1.0) -> float:
    torch.manual_seed(0)
    model = Mixed()
    model.scale.data *= scale
    smaller, left = places_left(model, lambda copied: pruned(copied, read))
    return differs(model, smaller, left, (torch.randn(3, 1, 6, 6),))


def test_removal_that_pairs_rightly_answers_as_silencing() -> None:
    assert seen(KEPT) < TOLERANCE


@pytest.mark.parametrize("read", [[0, 2, 3, 5], [2, 0, 3, 6], [4, 5, 6, 7]])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 0.0])
def test_removal_that_pairs_wrongly_is_noticed(read: list[int], scale: float) -> None:
    assert seen(read, scale) > 10 * TOLERANCE


def test_the_numbers_that_are_left_are_the_models_own() -> None:
    model = Mixed()
    smaller, left = places_left(model, lambda copied: pruned(copied, KEPT))
    assert torch.equal(smaller.get_parameter("first.weight"), model.first.weight[KEPT])
    assert left["first.bias"].tolist() == KEPT


def row(ended: str = "", times: dict[str, Any] | None = None, **steps: Any) -> dict[str, Any]:
    names = ("settle", "program", "intake", "found", "round", "silencing", "fine-tune", "export", "ptq")
    known: dict[str, Any] = {name: dict(WELL) for name in names}
    known["round"] |= {"share": 0.3, "most": 0.6}
    return {"ended": ended, "steps": known | steps, "times": times or {}, "source": "by hand", "commit": "abc"}


def error(kind: str, *, ours: bool) -> dict[str, Any]:
    return WELL | {"error": "expected one, got two", "type": kind, "ours": ours}


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (row(), "through"),
        (row(intake=error("IntakeError", ours=True)), "refused"),
        (row(intake=error("KeyError", ours=False)), "failed"),
        (row(export=error("ExportError", ours=True)), "failed"),
        (row("hung", ptq={"ended": False}), "failed"),
        (row("hung", qat={"ended": False}), "through"),
    ],
)
def test_only_a_sentence_before_long_work_is_a_refusal(found: dict[str, Any], kind: str) -> None:
    assert outcome_of(found).kind == kind


def test_missed_goals_are_figures_that_do_not_hold() -> None:
    slow = {"last": {"float": 1.0, "chosen": 1.2, "static": 1.0}, "last_busy": None, "chosen_score": 0.9}
    peers: dict[str, Any] = {
        "torch-pruning": WELL,
        "quantize_static": WELL | {"score": 0.9},
        "round": WELL | {"share": 0.5, "most": 0.6},
    }
    rows = {
        "slow": row(times=slow, **peers),
        "worse": row(times=slow | {"chosen_score": 0.8}, **peers),
        "hung": row("hung", **peers, found={"ended": False}),
        "wrong": row(**peers, silencing=error("ValueError", ours=False)),
    }
    held = {figure.figure: figure.holds for figure in figures(rows, fewest=1)}
    assert not any(held.values())
    assert len(held) > 10


def test_times_of_a_busy_machine_count_for_nothing() -> None:
    busy = {"last": {"float": 1.0, "chosen": 9.0, "static": 1.0}, "last_busy": "other processes", "chosen_score": 0.9}
    timed = [figure for figure in figures({"busy": row(times=busy)}, fewest=1) if " of 0 rows" in figure.figure]
    assert len(timed) == 4
    assert not any(figure.holds for figure in timed)
