"""Importance against hand-computed values and against real gates."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_compression.errors import TrainingError
from model_compression.intake import rebuild
from model_compression.pruning.channel_groups import ChannelGroup, Reader
from model_compression.pruning.importance import Batch, by_input, unit_scores
from model_compression.pruning.units import units_of
from tests.model_compression.architectures import ARCHITECTURES, exported


def two_linears() -> nn.Sequential:
    """Build x -> (x, -2x, 3x) -> relu -> 4a + 5b + 6c."""
    model = nn.Sequential(nn.Linear(1, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False))
    model[0].weight.data = torch.tensor([[1.0], [-2.0], [3.0]])
    model[2].weight.data = torch.tensor([[4.0, 5.0, 6.0]])
    return model


def total(outputs: Tensor, _: Tensor) -> Tensor:
    return outputs.sum()


def batch(*rows: float) -> Batch:
    return (torch.tensor(rows, dtype=torch.float32).unsqueeze(1),), torch.zeros(len(rows))


def scores_of(model: nn.Module, *batches: Batch) -> dict[str, list[float]]:
    scores = unit_scores(model, batches, total)
    groups = units_of(model, batches[0][0], ("channels",)).channel_groups
    found = {group.layer: scores.channels(group) for group in groups}
    return {layer: score.tolist() for layer, score in found.items() if score is not None}


def test_equals_the_squared_contribution_computed_by_hand() -> None:
    # of a batch of 1 and 2: channel a adds 4 (1 + 2) = 12 to the loss, b is dead, c adds 6 (3 + 6) = 54
    assert scores_of(two_linears(), batch(1, 2)) == {"0": [144, 0, 2916]}


def test_squares_are_averaged_over_batches_so_that_signs_do_not_cancel() -> None:
    model = two_linears()
    model[1] = nn.Identity()
    # a adds 4 and -4, b -10 and 10, c 18 and -18: nothing on average
    assert scores_of(model, batch(1), batch(-1)) == {"0": [16, 100, 324]}
    assert scores_of(model, batch(1, -1)) == {"0": [0, 0, 0]}


def gate_scores(model: nn.Module, group: ChannelGroup, rows: Tensor, targets: Tensor) -> Tensor:
    """Compute the scores of a group by gates of one that are really put before each reader."""
    gate = torch.ones(group.width, requires_grad=True)
    hooks = [_gated(model, reader, gate) for reader in group.readers]
    F.cross_entropy(model.eval()(rows), targets).backward()
    for hook in hooks:
        hook.remove()
    return gate.grad.square()  # type: ignore[union-attr]


def _gated(model: nn.Module, reader: Reader, gate: Tensor) -> torch.utils.hooks.RemovableHandle:
    layer = model.get_submodule(reader.layer)

    def close(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        axis = -1 if isinstance(layer, nn.Linear) else 1
        gates = torch.ones(inputs[0].shape[axis]).index_put((torch.tensor(reader.inputs),), gate[reader.channels])
        return (inputs[0] * gates.view([-1 if d == axis % inputs[0].dim() else 1 for d in range(inputs[0].dim())]),)

    return layer.register_forward_pre_hook(close)


@pytest.mark.parametrize("name", ["cnn", "resnet", "mobilenet", "signal", "mlp", "text"])
def test_equals_gates_on_every_bundle_of_each_architecture(name: str) -> None:
    _, program = exported(name)
    model, rows = rebuild(program), ARCHITECTURES[name].rows
    targets = torch.arange(len(rows)) % model(rows).shape[1]
    scores = unit_scores(model, [((rows,), targets)], F.cross_entropy)
    read = [group for group in units_of(model, (rows,), ("channels",)).channel_groups if group.readers]
    assert len(read) >= 2
    for group in read:
        expected = gate_scores(model, group, rows, targets)
        got = scores.channels(group)
        assert expected.max() > 0
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5 * float(expected.max()))


def test_channels_that_no_layer_reads_have_no_score() -> None:
    scores = unit_scores(two_linears(), [batch(1)], total)
    assert scores.channels(ChannelGroup("2", 1, False, ())) is None


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_statistics_stay_and_gradients_are_cleared(training: bool) -> None:
    model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).train(training)
    before = model.get_buffer("1.running_mean").clone()
    unit_scores(model, [batch(1, 2)], total)
    assert model.training is training
    assert torch.equal(model.get_buffer("1.running_mean"), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_no_rows_are_refused() -> None:
    with pytest.raises(TrainingError, match="expected calibration rows"):
        unit_scores(two_linears(), [], total)


def test_gradients_that_are_not_finite_are_refused_by_layer() -> None:
    with pytest.raises(TrainingError, match=r"NaN or infinity in 0\b"):
        unit_scores(two_linears(), [batch(1, float("nan"))], total)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(6, 4),
        nn.Conv1d(6, 4, 3),
        nn.Conv2d(6, 4, 3, groups=2),
        nn.ConvTranspose2d(6, 4, 3),
        nn.ConvTranspose2d(6, 4, 3, groups=2),
    ],
    ids=str,
)
def test_by_input_finds_the_weights_that_read_an_input(layer: nn.Module) -> None:
    weight = layer.get_parameter("weight")
    rows = torch.randn(2, 6) if isinstance(layer, nn.Linear) else torch.randn(2, 6, *[5] * (weight.dim() - 2))
    rows[:, 4] = 0
    expected = layer(rows)
    view = by_input(layer, weight.data)
    view[4 // view.shape[2], :, 4 % view.shape[2]] = 99
    torch.testing.assert_close(layer(rows), expected)
    rows[:, 4] = 1
    assert not torch.allclose(layer(rows), expected, atol=1)
