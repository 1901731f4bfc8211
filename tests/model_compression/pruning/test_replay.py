"""Removals replayed on another parent of the same form: the same shapes, with the other parent's weights."""

import copy
import json
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from model_compression.intake import rebuild
from model_compression.pruning import History, Kind, replay, trim_vocabulary
from model_compression.pruning.vocabulary import TrimmedTable
from tests.model_compression import encoders
from tests.model_compression.architectures import ARCHITECTURES, exported
from tests.model_compression.toys import prune

SHIFT = 0.25


class Case(NamedTuple):
    """A model and example rows, with the kinds of units that each round removes."""

    build: Callable[[], nn.Module]
    rows: tuple[Tensor, ...]
    rounds: tuple[tuple[Kind, ...], ...]
    vocabulary: bool = False


def _plain(name: str) -> Callable[[], nn.Module]:
    return lambda: rebuild(exported(name)[1])


CASES = {
    "channels": Case(_plain("cnn"), (ARCHITECTURES["cnn"].rows,), (("channels",), ("channels",))),
    "channels of a residual": Case(_plain("resnet"), (ARCHITECTURES["resnet"].rows,), (("channels",), ("channels",))),
    "heads": Case(encoders.rebuilt, encoders.rows(), (("heads",), ("heads",))),
    "layers": Case(encoders.rebuilt, encoders.rows(), (("layers",),)),
    "everything": Case(encoders.rebuilt, encoders.rows(), (("layers",), ("heads",), ("channels",)), vocabulary=True),
}


def pruned(case: Case) -> tuple[nn.Module, History]:
    """The parent after all rounds, and its history as a file holds it."""
    model, history = case.build(), []
    if case.vocabulary:
        tokens = tuple(rows.numpy() for rows in case.rows)
        history.append({"vocabulary": trim_vocabulary(model, case.rows, tokens, unknown=encoders.UNKNOWN)})
    for kinds in case.rounds:
        history += prune(model, *case.rows, kinds=kinds, ratio=0.3)
    return model, json.loads(json.dumps(history))


def retrained(case: Case) -> nn.Module:
    """The parent with other weights, each of them the old one plus a constant."""
    model = case.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(SHIFT)
    return model


@pytest.mark.parametrize("name", CASES)
def test_the_same_units_go_and_the_rest_is_the_new_parents(name: str) -> None:
    case = CASES[name]
    model, history = pruned(case)
    assert [tuple(removed) for removed in history] == [*([("vocabulary",)] * case.vocabulary), *case.rounds]
    parent = retrained(case)
    untouched = copy.deepcopy(parent)
    kept = replay(copy.deepcopy(parent), case.rows, history)
    before, after = dict(model.named_parameters()), dict(kept.named_parameters())
    assert {key: each.shape for key, each in after.items()} == {key: each.shape for key, each in before.items()}
    assert sum(map(Tensor.numel, after.values())) < sum(map(Tensor.numel, untouched.parameters()))
    for key, weight in after.items():
        torch.testing.assert_close(weight, before[key] + SHIFT)
    assert kept.eval()(*case.rows).shape == untouched.eval()(*case.rows).shape


def test_a_table_keeps_the_rows_of_the_same_tokens() -> None:
    case = CASES["everything"]
    model, history = pruned(case)
    kept = replay(retrained(case), case.rows, history)
    tables = [part for each in (model, kept) for part in each.modules() if isinstance(part, TrimmedTable)]
    assert len(tables) == 2 and torch.equal(tables[0].rows, tables[1].rows)


@pytest.mark.parametrize(("name", "other"), [("channels", "heads"), ("heads", "channels"), ("layers", "channels")])
def test_another_architecture_is_refused(name: str, other: str) -> None:
    _, history = pruned(CASES[name])
    with pytest.raises((AttributeError, ValueError)):
        replay(CASES[other].build(), CASES[other].rows, history)
