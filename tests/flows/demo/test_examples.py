"""The examples' upstream side: a parent is trained once, and without its package that is one sentence."""

import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from deployments.errors import ConfigurationError
from deployments.recipe import read_recipe, shipped_recipes
from flows.demo import example_networks
from flows.demo.examples import Example, examples, trained
from tasks.store import StageStore
from tests.end_to_end.tiny.upstream import small_network
from tests.end_to_end.tiny.workload import Tiny


def test_a_parent_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = Example("tiny", small_network, epochs=1, learning_rate=1e-3)
    first = trained(example, Tiny(), StageStore(tmp_path), Console(quiet=True))
    monkeypatch.setattr("model_compression.training.fine_tune", lambda *_: pytest.fail("trained again"))
    again = trained(example, Tiny(), StageStore(tmp_path), Console(quiet=True))
    assert not again.training
    torch.testing.assert_close(again.state_dict(), first.state_dict())


def test_other_settings_are_another_parent(tmp_path: Path) -> None:
    store, made = StageStore(tmp_path), []
    for rate in (1e-3, 1e-2):
        made.append(trained(Example("tiny", small_network, 1, rate), Tiny(), store, Console(quiet=True)))
    assert _difference(*made) > 0


def test_every_example_has_a_shipped_recipe() -> None:
    shipped = {path.stem for path in shipped_recipes()}
    for example in examples().values():
        assert example.recipe in shipped
        assert read_recipe(Path(example.recipe)).model == example.recipe


def test_minilm_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigurationError, match=r"expected the package transformers, .* run make r8"):
        example_networks.minilm()


def _difference(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return float(sum((mine - its).abs().sum() for mine, its in pairs))
