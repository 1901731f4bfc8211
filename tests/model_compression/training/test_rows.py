"""Rows as models take them: in batches, without copies, answered as a whole."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_compression.errors import TrainingError
from model_compression.training import batches, predict, tensors
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
