"""Rows in batches, in parts that fit the memory, over several GPUs, and channels-last weights."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_compression.errors import TrainingError
from model_compression.training import batches, predict, tensors
from model_compression.training.batching import (
    Forward,
    MicroBatches,
    channels_last,
    gpu_numbers,
    is_out_of_memory,
    spread,
)
from tests.model_compression.toys import digits

TRAIN = digits("train")


def linear(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, 10))


class TestPredict:
    def test_no_rows_to_run_on(self) -> None:
        with pytest.raises(TrainingError, match="at least 1 row"):
            predict(linear(), (TRAIN.images[:0],))

    @pytest.mark.parametrize("training", [True, False])
    def test_batches_do_not_show_and_the_mode_is_kept(self, training: bool) -> None:
        model = linear(0.5).train(training)
        whole = predict(model, (TRAIN.images,), batch_size=500)
        np.testing.assert_allclose(predict(model, (TRAIN.images,), batch_size=7), whole, atol=1e-6)
        assert model.training is training

    def test_read_only_and_reversed_arrays_are_taken(self) -> None:
        images = TRAIN.images[:9].copy()
        expected = predict(linear(), (images[::-1].copy(),))
        images.flags.writeable = False
        np.testing.assert_array_equal(predict(linear(), (images[::-1],)), expected)


def test_tensors_share_memory_where_they_can() -> None:
    array = np.zeros(3, np.float32)
    tensors((array,))[0][1] = 5
    assert array[1] == 5


def test_batches_are_in_order_with_a_shorter_last_one() -> None:
    def pairs() -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        return batches((np.arange(5), np.arange(5) * 10), np.arange(5) * 100, 2)

    assert [targets.tolist() for _, targets in pairs()] == [[0, 100], [200, 300], [400]]
    assert [[row.tolist() for row in rows] for rows, _ in pairs()][1:] == [[[2, 3], [20, 30]], [[4], [40]]]


ON_THE_PROCESSOR = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"


def sizes(size: int, rows: int, fits: int = 10**9) -> tuple[list[int], int]:
    """The parts that went through, and how often the gradients were dropped."""
    micro_batches = MicroBatches(size)
    seen: list[int] = []
    cleared: list[int] = []

    def clear() -> None:
        seen.clear()
        cleared.append(1)

    def backward(part: Tensor) -> float:
        if len(part) > fits:
            raise RuntimeError(ON_THE_PROCESSOR)
        seen.append(len(part))
        return len(part) / rows

    assert micro_batches.accumulate(torch.arange(rows), clear, backward) == pytest.approx(1)
    return seen, len(cleared)


@pytest.mark.parametrize(
    ("size", "rows", "parts"),
    [(8, 8, [8]), (8, 3, [3]), (4, 9, [3, 3, 3]), (2, 5, [3, 2]), (2, 3, [3]), (4, 8, [4, 4]), (3, 7, [3, 2, 2])],
)
def test_parts_are_even_and_none_has_one_row(size: int, rows: int, parts: list[int]) -> None:
    assert sizes(size, rows) == (parts, 1)


def test_parts_are_halved_until_they_fit_and_what_was_added_up_is_dropped() -> None:
    assert sizes(32, 32, fits=9) == ([8, 8, 8, 8], 3)


def test_two_rows_that_do_not_fit_are_an_error_with_a_remedy() -> None:
    with pytest.raises(TrainingError, match=r"expected 2 rows to fit .* can't allocate memory; train on a machine"):
        sizes(8, 8, fits=1)


def test_another_error_is_not_taken_for_memory() -> None:
    def fail(_: Tensor) -> float:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        MicroBatches(8).accumulate(torch.arange(8), lambda: None, fail)


def test_the_processor_really_says_so() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 62, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


GPU = torch.device("cuda")


def test_gpus_are_counted_and_missing_ones_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert gpu_numbers(GPU, 2) == [0, 1]
    assert gpu_numbers(GPU, 1) == gpu_numbers(torch.device("cpu"), 4) == []
    with pytest.raises(TrainingError, match=r"expected 3 GPUs for `gpus: 3`, got 2 .*; lower `gpus`"):
        gpu_numbers(GPU, 3)


class Shared:
    """Splits a batch as DataParallel does, with every part on the processor."""

    def __init__(self) -> None:
        self.parts: list[int] = []

    def __call__(self, model: nn.Module, gpus: Sequence[int]) -> Forward:
        def forward(rows: Tensor) -> Tensor:
            chunks = rows.chunk(len(gpus))
            self.parts += [len(chunk) for chunk in chunks]
            return torch.cat([model(chunk) for chunk in chunks])

        return forward


def test_a_shared_batch_has_the_gradients_of_a_whole_one() -> None:
    torch.manual_seed(0)
    model, rows = nn.Linear(3, 2), torch.randn(10, 3)
    gradients = []
    for forward in (model, spread(model, [0, 1, 2], Shared())):
        model.zero_grad()
        forward(rows).square().mean().backward()
        gradients.append(model.weight.grad)
    torch.testing.assert_close(*gradients)


def test_no_gpu_gets_a_single_row() -> None:
    shared = Shared()
    forward = spread(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), [0, 1, 2], shared)
    for rows in (5, 6, 7, 8, 9, 12):
        assert forward(torch.randn(rows, 3)).shape == (rows, 4)
    assert shared.parts and min(shared.parts) >= 2


def test_one_gpu_is_the_model_itself() -> None:
    model = nn.Linear(3, 2)
    assert spread(model, []) is model and spread(model, [0]) is model


def _model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv1d(8, 4, 3), nn.Linear(4, 2))


def test_convolutions_lie_channels_last_inside_and_as_before_outside() -> None:
    model = _model()
    before = {name: (tensor.clone(), tensor.stride()) for name, tensor in model.state_dict().items()}
    with channels_last(model):
        assert model.get_parameter("0.weight").is_contiguous(memory_format=torch.channels_last)
        assert not model.get_parameter("0.weight").is_contiguous()
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
    assert model.get_parameter("0.weight").is_contiguous()
