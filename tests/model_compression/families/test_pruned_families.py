"""Joined models pruned in rounds: kept as snapshots, split afterwards, and replayed on the backbone alone."""

import copy
import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import fx

from model_compression.families import backbone_and_heads, backbone_history
from model_compression.onnx_files import check_shrunk, export_onnx
from model_compression.pruning import (
    History,
    Kind,
    load_snapshot,
    parameters,
    replay,
    save_snapshot,
    trim_vocabulary,
)
from tests.model_compression import encoders
from tests.model_compression.families.members import family, registered
from tests.model_compression.toys import prune, run


class Case(NamedTuple):
    """A family, the kinds of units that each round removes, and whether its table of tokens is cut."""

    name: str
    rounds: tuple[tuple[Kind, ...], ...]
    vocabulary: bool = False


CASES = [
    Case("resnet", (("channels",), ("channels",))),
    Case("mobile", (("channels",), ("channels",))),
    Case("vit", (("heads",), ("channels",), ("layers",))),
    Case("text", (("heads",), ("layers",), ("channels",)), vocabulary=True),
]


def pruned(case: Case) -> tuple[fx.GraphModule, History]:
    """The joined model of a family after all rounds, and its history as a file holds it."""
    model, rows = copy.deepcopy(registered(case.name)), family(case.name).rows
    history: History = []
    if case.vocabulary:
        tokens = tuple(each.numpy() for each in rows)
        history.append({"vocabulary": trim_vocabulary(model, rows, tokens, unknown=encoders.UNKNOWN)})
    for kinds in case.rounds:
        history += prune(model, *rows, kinds=kinds, ratio=0.3)
    return model, json.loads(json.dumps(history))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_pruned_kept_split_and_replayed(case: Case, tmp_path: Path) -> None:
    given = family(case.name)
    whole = registered(case.name)
    model, history = pruned(case)
    assert parameters(model) < 0.8 * parameters(whole)
    answers = model.eval()(*given.rows)
    assert answers.shape == given.answers().shape

    save_snapshot(tmp_path, model, history)
    loaded = load_snapshot(tmp_path, lambda: copy.deepcopy(whole), given.rows)
    assert torch.equal(loaded(*given.rows), answers)

    assert isinstance(loaded, fx.GraphModule)
    backbone, heads = backbone_and_heads(loaded, given.names)
    features = backbone(*given.rows)
    parts = [head(features).reshape(len(features), -1) for head in heads.values()]
    assert torch.equal(torch.cat(parts, 1), answers)

    of_backbone = backbone_history(history, whole)
    alone = replay(copy.deepcopy(whole), given.rows, of_backbone)
    assert isinstance(alone, fx.GraphModule)
    replayed = backbone_and_heads(alone, given.names)[0]
    wanted = {path: weight.shape for path, weight in backbone.named_parameters()}
    assert {path: weight.shape for path, weight in replayed.named_parameters()} == wanted


def test_pruned_parts_are_exported_at_their_own_size(tmp_path: Path) -> None:
    given = family("resnet")
    model, _ = pruned(CASES[0])
    backbone, heads = backbone_and_heads(model, given.names)
    features = backbone(*given.rows).detach()
    parts: list[tuple[str, fx.GraphModule, torch.Tensor]] = [
        ("model", backbone, given.rows[0]),
        ("head", heads["where"], features),
    ]
    for name, part, rows in parts:
        file = export_onnx(part, (rows,), ["values"], tmp_path / f"{name}.onnx")
        check_shrunk(part, file)
        answers = torch.from_numpy(run(file, rows.numpy()))
        torch.testing.assert_close(answers, part(rows).detach(), rtol=0, atol=1e-4)


def test_what_the_heads_lost_is_not_in_the_history_of_the_backbone() -> None:
    whole = registered("resnet")
    rounds: History = [
        {"channels": {"backbone.1.1.conv1": [0], "heads.turn.head.2": [1, 2]}, "layers": ["add", "heads.where.x"]},
        {"channels": {"heads.turn.head.2": [3]}},
        {"vocabulary": {"unknown": 1, "tables": {"heads.turn.table": [1], "backbone.table": [2]}}},
        {"heads": {"backbone.out": [0], "heads.turn.out": [1]}},
    ]
    assert "add" in {node.name for node in whole.graph.nodes}
    assert backbone_history(rounds, whole) == [
        {"channels": {"backbone.1.1.conv1": [0]}, "layers": ["add"]},
        {"vocabulary": {"unknown": 1, "tables": {"backbone.table": [2]}}},
        {"heads": {"backbone.out": [0]}},
    ]


def test_what_one_head_lost_is_asked_for_beside_it() -> None:
    whole, names = registered("resnet"), family("resnet").names
    rounds: History = [{"channels": {"backbone.1.1.conv1": [0], "heads.turn.head.2": [1], "heads.kind.head.2": [2]}}]
    assert backbone_history(rounds, whole, names, ["turn"]) == [
        {"channels": {"backbone.1.1.conv1": [0], "heads.turn.head.2": [1]}}
    ]
