"""Every operator in the tables becomes the module that computes it."""

import pytest
import torch
from torch import Tensor, nn

from model_compression.intake import check_equal, rebuild
from tests.model_compression.architectures import export

ACTIVATIONS = [
    nn.ReLU(),
    nn.ReLU6(),
    nn.Hardtanh(-2.0, 3.0),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
    nn.SiLU(),
    nn.Mish(),
    nn.SELU(),
    nn.ELU(alpha=0.5),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.LeakyReLU(0.2),
    nn.Softplus(beta=2),
    nn.Softmax(dim=1),
    nn.LogSoftmax(dim=-1),
    nn.Dropout(0.1),
    nn.Dropout2d(0.2),
    nn.AlphaDropout(0.3),
    nn.FeatureAlphaDropout(0.4),
    nn.MaxPool2d((3, 2), stride=1, padding=1, ceil_mode=True),
    nn.AvgPool2d(2, stride=1, count_include_pad=False, divisor_override=3),
    nn.AdaptiveAvgPool2d((3, 5)),
]
LAYERS = [
    (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2), (4, 9, 9)),
    (nn.Conv1d(4, 6, 3, padding="same", bias=False), (4, 9)),
    (nn.Conv3d(2, 3, 2, padding=1), (2, 4, 4, 4)),
    (nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1), (4, 9)),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2), (4, 5, 5)),
    (nn.Linear(7, 3), (2, 7)),
    (nn.BatchNorm1d(4, eps=1e-3, momentum=0.3), (4, 9)),
    (nn.BatchNorm2d(4, affine=False), (4, 3, 3)),
    (nn.BatchNorm2d(4, track_running_stats=False), (4, 3, 3)),
    (nn.LayerNorm((4, 3), eps=1e-3), (4, 3)),
    (nn.LayerNorm(3, bias=False), (4, 3)),
    (nn.LayerNorm(3, elementwise_affine=False), (4, 3)),
    (nn.RMSNorm(3, eps=1e-3), (4, 3)),
    (nn.GroupNorm(2, 4), (4, 3)),
    (nn.PReLU(4), (4, 3)),
]


def test_activations_pooling_and_dropout_come_back_as_they_were() -> None:
    model = nn.Sequential(*ACTIVATIONS).eval()
    rows = torch.randn(3, 4, 6, 6)
    program = export(model, rows)
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) == 0.0
    assert [repr(part) for part in rebuilt.children()] == [repr(part) for part in ACTIVATIONS]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: type(value).__name__)
def test_layers_come_back_as_they_were(layer: nn.Module, shape: tuple[int, ...]) -> None:
    rows = torch.randn(3, *shape)
    program = export(nn.Sequential(layer).eval(), rows)
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) == 0.0
    assert repr(rebuilt.get_submodule("0")) == repr(layer)
    assert rebuilt.state_dict().keys() == {f"0.{name}" for name in layer.state_dict()}


class _Lookup(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 4, padding_idx=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x)


def test_padding_row_of_an_embedding_gets_no_gradient() -> None:
    rebuilt = rebuild(export(_Lookup(), torch.arange(6).reshape(2, 3)))
    rebuilt(torch.tensor([[2, 3]])).sum().backward()
    gradient = rebuilt.get_parameter("table.weight").grad
    assert gradient is not None
    assert not gradient[2].any()
    assert gradient[3].all()


class _Root(nn.Linear):
    """A model that is one layer, so that its weights have no module in their names."""


def test_weights_of_the_model_itself_get_a_layer() -> None:
    rows = torch.randn(3, 4)
    program = export(_Root(4, 2), rows)
    rebuilt = rebuild(program)
    assert check_equal(program, rebuilt, (rows,)) == 0.0
    assert set(rebuilt.state_dict()) == {"linear.weight", "linear.bias"}
