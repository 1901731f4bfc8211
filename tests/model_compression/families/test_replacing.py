"""Heads put in the place of others: the answers of the other heads stay bit by bit, also in a pruned model."""

import copy
import functools
from pathlib import Path

import pytest
import torch
from torch import fx

from model_compression.errors import FamilyError
from model_compression.families import backbone_and_heads, backbone_history, refitted_head, save_program, with_heads
from model_compression.intake import load_program, rebuild
from tests.model_compression.families.members import IMAGES
from tests.model_compression.families.new_versions import CASES, NAMES, joined
from tests.model_compression.toys import prune


@functools.cache
def updated(name: str) -> tuple[fx.GraphModule, fx.GraphModule, fx.GraphModule]:
    """A pruned family, the new head of `turn` that fits it, and the family with that head."""
    case = CASES[name]
    whole = joined(case, case.former)
    model, history = copy.deepcopy(whole), []
    for kinds in case.rounds:
        history += prune(model, IMAGES, kinds=kinds, ratio=0.4)
    backbone = backbone_and_heads(model, NAMES)[0]
    head = refitted_head(joined(case, case.new), NAMES, "turn", (IMAGES,), backbone_history(history, whole), backbone)
    return model, head, with_heads(model, NAMES, {"turn": head})


@pytest.mark.parametrize("name", CASES)
def test_the_other_answers_stay_bit_by_bit(name: str) -> None:
    model, head, made = updated(name)
    features = backbone_and_heads(model, NAMES)[0](IMAGES)
    answers, before = made(IMAGES), model(IMAGES)
    of_kind = before.shape[1] - 4
    assert answers.shape == (len(IMAGES), of_kind + 5)
    assert torch.equal(answers[:, :of_kind], before[:, :of_kind])
    assert torch.equal(answers[:, of_kind:], head(features))


@pytest.mark.parametrize("name", CASES)
def test_it_is_kept_as_a_program_and_split_again(name: str, tmp_path: Path) -> None:
    _, head, made = updated(name)
    save_program(made, (IMAGES,), tmp_path / "program.pt2")
    loaded = rebuild(load_program(tmp_path / "program.pt2")).eval()
    assert torch.equal(loaded(IMAGES), made(IMAGES))
    backbone, heads = backbone_and_heads(loaded, NAMES)
    assert torch.equal(heads["turn"](backbone(IMAGES)), head(backbone(IMAGES)))
    assert {path.partition(".")[0] for path, _ in loaded.named_parameters()} == {"backbone", "heads"}


def test_without_a_new_head_it_is_the_same_model() -> None:
    model, _, _ = updated("conv")
    assert torch.equal(with_heads(model, NAMES, {})(IMAGES), model(IMAGES))


def test_it_shares_the_weights_of_the_new_head() -> None:
    _, head, made = updated("conv")
    ours = {id(weight) for weight in head.parameters()}
    assert ours <= {id(weight) for weight in made.parameters()}


def test_a_head_of_no_task_is_refused() -> None:
    model, head, _ = updated("conv")
    with pytest.raises(FamilyError, match="expected heads of kind, turn, got one of colour"):
        with_heads(model, NAMES, {"colour": head})
