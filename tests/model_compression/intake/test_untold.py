"""Settings of training after a program's way through a file: restored where it tells them, named where it does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

from model_compression.intake import check_equal, load_program, rebuild, untold_settings
from model_compression.training import FineTuning, fine_tune
from tests.model_compression.architectures import export
from tests.model_compression.toys import SETTINGS

ROWS = torch.randn(64, 3, 6, 6, generator=torch.Generator().manual_seed(0))
TUNING: FineTuning = replace(SETTINGS, epochs=2, batch_size=16, learning_rate=1e-4)
LONG_AGO = 100_000


class Noise(nn.Module):
    """Stochastic depth, as most write it: nothing at all in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (torch.rand(len(x), 1, 1, 1) > 0.5)


class Attention(nn.Module):
    """Attention over places, with dropout of its weights while training."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        places = x.flatten(2).transpose(1, 2)
        p = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(places, places, places, dropout_p=p)


def network(*layers: nn.Module) -> nn.Module:
    """A classifier with these layers in its middle, whose statistics are no longer those of a fresh one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *layers, nn.Flatten(), nn.LazyLinear(2)).train()
    for _ in range(3):
        model(ROWS)
    return model


def program(model: nn.Module, folder: Path, *, training: bool = False) -> ExportedProgram:
    """The program as it comes out of a file."""
    torch.export.save(export(model.train(training), ROWS[:4]), folder / "model.pt2")
    return load_program(folder / "model.pt2")


def tuned(model: nn.Module, shift: float) -> nn.Module:
    """Fine-tune on rows that are shifted against those of the statistics."""
    rows = (ROWS + shift).numpy()
    fine_tune(model, (rows,), np.arange(len(rows)) % 2, None, F.cross_entropy, TUNING)
    return model


def statistics(model: nn.Module, rows: Tensor) -> Tensor:
    """The mean that a batch norm behind the first convolution sees."""
    with torch.no_grad():
        return model.get_submodule("0")(rows).mean((0, 2, 3))


def test_a_cumulative_average_is_restored_said_and_follows_the_fine_tuning(tmp_path: Path) -> None:
    model = network(nn.BatchNorm2d(4, momentum=None))
    model.get_buffer("1.num_batches_tracked").fill_(LONG_AGO)
    found = program(model, tmp_path)
    (sentence,) = untold_settings(found)
    assert "expected the program to tell the momentum of batch norms, got 0, which" in sentence and "`1`" in sentence
    assert sentence.endswith("give the workload a build_model() where that matters")
    rebuilt = rebuild(found)
    norm = rebuilt.get_submodule("1")
    assert isinstance(norm, nn.BatchNorm2d) and norm.momentum is None
    assert norm.num_batches_tracked is not None and norm.num_batches_tracked.item() == LONG_AGO
    check_equal(found, rebuilt, (ROWS,))
    tuned(rebuilt, shift=5)
    torch.testing.assert_close(norm.running_mean, statistics(rebuilt, ROWS + 5), rtol=0.1, atol=0.1)


def test_a_cumulative_average_of_own_code_follows_too() -> None:
    model = network(nn.BatchNorm2d(4, momentum=None))
    model.get_buffer("1.num_batches_tracked").fill_(LONG_AGO)
    tuned(model, shift=5)
    torch.testing.assert_close(model.get_buffer("1.running_mean"), statistics(model, ROWS + 5), rtol=0.1, atol=0.1)


def test_a_norm_that_is_called_twice_stays_one_layer(tmp_path: Path) -> None:
    norm = nn.BatchNorm2d(4, momentum=None)
    rebuilt = rebuild(program(network(norm, norm), tmp_path))
    assert [part.momentum for part in rebuilt.modules() if isinstance(part, nn.BatchNorm2d)] == [None]


def test_a_momentum_of_zero_that_never_moved_the_statistics_stays(tmp_path: Path) -> None:
    found = program(network(nn.BatchNorm2d(4, momentum=0.0)), tmp_path)
    assert untold_settings(found) == ()
    rebuilt = tuned(rebuild(found), shift=5)
    assert torch.equal(rebuilt.get_buffer("1.running_mean"), torch.zeros(4))


def test_a_momentum_of_zero_of_a_program_in_training_mode_is_one(tmp_path: Path) -> None:
    model = network(nn.BatchNorm2d(4))
    model.get_submodule("1").momentum = 0.0  # type: ignore[assignment]
    found = program(model, tmp_path, training=True)
    assert untold_settings(found) == ()
    assert rebuild(found).get_submodule("1").momentum == 0.0


@pytest.mark.parametrize(
    ("make", "attributes"),
    [
        (lambda: nn.BatchNorm2d(4, eps=1e-3, momentum=0.03), {"eps": 1e-3, "momentum": 0.03}),
        (lambda: nn.BatchNorm2d(4, affine=False), {"affine": False, "momentum": 0.1}),
        (lambda: nn.SyncBatchNorm(4, momentum=0.2), {"momentum": 0.2}),
        (lambda: nn.InstanceNorm2d(4, eps=1e-3), {"eps": 1e-3, "track_running_stats": False}),
        (lambda: nn.InstanceNorm2d(4, affine=True), {"affine": True, "track_running_stats": False}),
        (
            lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True, momentum=0.3),
            {"momentum": 0.3, "track_running_stats": True},
        ),
        (lambda: nn.InstanceNorm2d(4, track_running_stats=True), {"affine": False, "track_running_stats": True}),
        (lambda: nn.GroupNorm(2, 4, eps=1e-3), {"num_groups": 2, "eps": 1e-3}),
        (lambda: nn.Dropout(0.3), {"p": 0.3}),
        (lambda: nn.Dropout2d(0.3), {"p": 0.3}),
        (lambda: nn.AlphaDropout(0.3), {"p": 0.3}),
        (lambda: nn.RReLU(0.2, 0.4), {"lower": 0.2, "upper": 0.4}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else type(value()).__name__,
)
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_what_the_program_tells_is_restored(
    make: Callable[[], nn.Module], attributes: dict[str, object], training: bool, tmp_path: Path
) -> None:
    if isinstance(make(), nn.SyncBatchNorm):
        if training:
            pytest.skip("trains on a GPU alone")
        model = network(nn.BatchNorm2d(4))
        model[1] = make()  # type: ignore[operator]
    else:
        model = network(make())
    found = program(model, tmp_path, training=training)
    assert untold_settings(found) == ()
    rebuilt = rebuild(found)
    layer = rebuilt.get_submodule("1")
    assert {name: getattr(layer, name) for name in attributes} == attributes
    assert check_equal(found, rebuilt, (ROWS,)) == 0.0
    with torch.no_grad():
        torch.testing.assert_close(rebuilt(ROWS), model.eval()(ROWS))
        seed = torch.manual_seed(1).initial_seed()
        expected = model.train()(ROWS) if not isinstance(make(), nn.SyncBatchNorm) else rebuilt.train()(ROWS)
        torch.manual_seed(seed)
        torch.testing.assert_close(rebuilt.train()(ROWS), expected)
    moved = [name for name, _ in model.named_buffers() if name.endswith("running_mean")]
    for name in moved:
        assert torch.equal(rebuilt.get_buffer(name), model.get_buffer(name)) or isinstance(make(), nn.SyncBatchNorm)


def test_dropout_of_attention_weights_is_named_unless_the_program_tells_it(tmp_path: Path) -> None:
    model = network(Attention())
    (sentence,) = untold_settings(program(model, tmp_path))
    assert "the dropout of attention weights, got none" in sentence and "in `1`: they are trained without" in sentence
    assert untold_settings(program(model, tmp_path, training=True)) == ()
    layers = rebuild(program(model, tmp_path, training=True)).modules()
    assert [part.dropout for part in layers if hasattr(part, "dropout")] == [0.2]


def test_modules_that_only_training_sees_are_named(tmp_path: Path) -> None:
    model = network(nn.Sequential(nn.ReLU(), Noise()), Noise(), nn.Dropout(0.5), nn.BatchNorm2d(4))
    (sentence,) = untold_settings(program(model, tmp_path))
    assert "got modules that compute nothing in evaluation mode, in `1.1`, `2`: they stay idle" in sentence


def test_of_many_layers_five_are_named(tmp_path: Path) -> None:
    (sentence,) = untold_settings(program(network(*(Noise() for _ in range(8))), tmp_path))
    assert "`1`, `2`, `3`, `4`, `5` and 3 more" in sentence
