"""The parts of the trajectory's benchmark work on a tiny network."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from flows.demo.example_networks import resnet
from model_compression.pruning import parameters
from tasks.store import code_digests
from tests.benchmarks.frontier import chained
from tests.benchmarks.trajectory import pruning, students
from tests.benchmarks.trajectory.__main__ import main
from tests.benchmarks.trajectory.cuts import Cutter, Ours, TheirsGlobal
from tests.benchmarks.trajectory.parent import SHIFT, moved
from tests.benchmarks.trajectory.pruning import PEERS, _targets


def test_targets_fall_to_each_fraction_in_its_rounds() -> None:
    sizes = _targets(1200)
    assert (sizes[3], sizes[5], sizes[7]) == (300, 150, 80)
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("side", [Ours, *PEERS.values()])
def test_each_side_cuts_again_and_again_and_the_model_still_answers(side: type[Cutter]) -> None:
    torch.manual_seed(0)
    model = resnet(8)
    images = np.random.default_rng(0).random((4, 1, 28, 28), dtype=np.float32)
    cutter, whole = side(model, (images,), np.arange(4)), parameters(model)
    for target in (whole * 4 // 5, whole * 3 // 5):
        cutter.cut(target)
        assert 0 < parameters(model) <= target
        assert model.eval()(torch.from_numpy(images)).shape == (4, 10)


def test_torch_pruning_that_does_not_reach_the_target_is_an_error() -> None:
    images = np.random.default_rng(0).random((4, 1, 28, 28), dtype=np.float32)
    with pytest.raises(ValueError, match="expected at most 1 parameters"):
        TheirsGlobal(resnet(8), (images,), np.arange(4)).cut(1)


def test_every_image_is_its_original_moved_or_mirrored() -> None:
    images = torch.rand(8, 1, 12, 12)
    changed = moved(images, torch.Generator().manual_seed(0))
    for image, found in zip(F.pad(images, (SHIFT,) * 4), changed, strict=True):
        windows = image.unfold(1, 12, 1).unfold(2, 12, 1).flatten(0, 2)
        assert any(torch.equal(window, found[0]) or torch.equal(window.flip(1), found[0]) for window in windows)


@pytest.mark.parametrize("code", [chained.CODE, pruning.CODE, students.CODE])
def test_the_code_that_a_kept_result_stands_on_is_there(code: tuple[str, ...]) -> None:
    assert len(code_digests(code)) == len(code)


def test_a_figure_that_does_not_exist_is_refused_before_any_work() -> None:
    with pytest.raises(SystemExit, match="expected names of devices, step, pruning"):
        main(["size"])
