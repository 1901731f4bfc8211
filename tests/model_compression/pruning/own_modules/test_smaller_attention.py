"""The attention in place of torch's: the same answers with the same weights, however it is called."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model_compression.errors import PruningError
from model_compression.pruning.own_modules import SmallerAttention

PADDING = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
LATER = torch.ones(5, 5, dtype=torch.bool).triu(1)
CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "without weights": {"need_weights": False},
    "weights of each head": {"average_attn_weights": False},
    "padding": {"key_padding_mask": PADDING},
    "padding and places": {"key_padding_mask": PADDING, "attn_mask": LATER, "need_weights": False},
    "causal": {"attn_mask": LATER, "is_causal": True, "need_weights": False},
    "numbers for each head": {"attn_mask": torch.arange(8.0)[:, None, None].expand(8, 5, 5) / 8},
}


def rows(*, batch_first: bool) -> Tensor:
    drawn = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    return drawn if batch_first else drawn.transpose(0, 1)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("batch_first", [True, False], ids=["rows first", "places first"])
def test_it_answers_as_torchs_does(call: str, batch_first: bool) -> None:
    whole = nn.MultiheadAttention(16, 4, dropout=0.5, batch_first=batch_first).eval()
    x = rows(batch_first=batch_first)
    expected, weights = whole(x, x, x, **CALLS[call])
    got, found = SmallerAttention(whole)(x, x, x, **CALLS[call])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
    assert (found is None) == (weights is None)
    if found is not None:
        torch.testing.assert_close(found, weights, atol=1e-5, rtol=1e-4)


def test_keys_and_values_of_another_input_and_one_row_without_a_batch() -> None:
    whole = nn.MultiheadAttention(16, 4, batch_first=True, bias=False).eval()
    x, other = rows(batch_first=True), rows(batch_first=True)[:, :3] + 1
    smaller = SmallerAttention(whole)
    torch.testing.assert_close(smaller(x, other, other)[0], whole(x, other, other)[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(smaller(x[0], x[0], x[0])[0], whole(x[0], x[0], x[0])[0], atol=1e-5, rtol=1e-4)


def test_an_attention_with_weights_apart_is_refused() -> None:
    with pytest.raises(PruningError, match="one weight for queries, keys and values"):
        SmallerAttention(nn.MultiheadAttention(16, 4, kdim=8, vdim=8))
