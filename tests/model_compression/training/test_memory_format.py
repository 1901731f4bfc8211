"""Weights lie channels-last only while a model trains."""

import pytest
import torch
from torch import nn

from model_compression.training.batching import channels_last


def _model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv1d(8, 4, 3), nn.Linear(4, 2))


def test_convolutions_lie_channels_last_inside_and_as_before_outside() -> None:
    model = _model()
    before = {name: (tensor.clone(), tensor.stride()) for name, tensor in model.state_dict().items()}
    with channels_last(model):
        assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
        assert not model[0].weight.is_contiguous()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name][0])
        assert tensor.stride() == before[name][1]


def test_activations_follow_the_weights() -> None:
    model = nn.Conv2d(3, 8, 3)
    images = torch.rand(2, 3, 8, 8)
    plain = model(images)
    with channels_last(model):
        made = model(images)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(made, plain, atol=1e-6)


def test_an_error_inside_leaves_them_as_before() -> None:
    model = _model()
    with pytest.raises(RuntimeError, match="stop"), channels_last(model):
        raise RuntimeError("stop")
    assert model[0].weight.is_contiguous()
