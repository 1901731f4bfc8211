"""torch's attention with heads whose features together are fewer than those of its input."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_compression.errors import PruningError


class SmallerAttention(nn.Module):
    """nn.MultiheadAttention after units were removed from its weights, which have the same names.

    Heads keep their size, so that the weights tell how many are left. It is called as nn.MultiheadAttention is.
    """

    def __init__(self, whole: nn.MultiheadAttention) -> None:
        super().__init__()
        if whole.in_proj_weight is None or whole.bias_k is not None or whole.add_zero_attn:
            raise PruningError(
                "expected an nn.MultiheadAttention with one weight for queries, keys and values and without `bias_k` "
                "and `add_zero_attn`; leave its layer as it is"
            )
        self.in_proj_weight, self.in_proj_bias = whole.in_proj_weight, whole.in_proj_bias
        self.out_proj = whole.out_proj
        self.dropout, self.batch_first, self.head_dim = whole.dropout, whole.batch_first, whole.head_dim
        self.embed_dim = self.kdim = self.vdim = whole.in_proj_weight.shape[1]
        self.num_heads = whole.in_proj_weight.shape[0] // 3 // whole.head_dim
        self._qkv_same_embed_dim = False  # so that torch's encoder layers call it, and not a kernel of their own
        self.train(whole.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend to the values; arguments, shapes and results are those of nn.MultiheadAttention."""
        if query.dim() == 2:
            rows = [each[None] if self.batch_first else each[:, None] for each in (query, key, value)]
            padding = None if key_padding_mask is None else key_padding_mask[None]
            mixed, weights = self(*rows, padding, need_weights, attn_mask, average_attn_weights, is_causal)
            return mixed.squeeze(0 if self.batch_first else 1), None if weights is None else weights.squeeze(0)
        queries, keys, values = (self._apart(each) for each in self._projected(query, key, value))
        mask = _joined(queries, key_padding_mask, attn_mask)
        if mask is None and is_causal and not need_weights:
            mixed, weights = self._fused(queries, keys, values, None, is_causal=True), None
        elif not need_weights:
            mixed, weights = self._fused(queries, keys, values, mask, is_causal=False), None
        else:
            mixed, weights = self._weighed(queries, keys, values, mask)
            weights = weights.mean(1) if average_attn_weights else weights
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out if self.batch_first else out.transpose(0, 1), weights

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        if query is key is value:
            return F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        biases: Any = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        weights = self.in_proj_weight.chunk(3)
        return tuple(F.linear(*each) for each in zip((query, key, value), weights, biases, strict=True))

    def _apart(self, features: Tensor) -> Tensor:
        """Return features as (rows, heads, places, features of a head)."""
        features = features if self.batch_first else features.transpose(0, 1)
        apart: Tensor = features.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        return apart

    def _fused(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, *, is_causal: bool) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(queries, keys, values, mask, dropout, is_causal)

    def _weighed(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        scores = queries @ keys.transpose(-2, -1) * self.head_dim**-0.5
        weights = (scores if mask is None else scores + mask).softmax(-1)
        weights = F.dropout(weights, self.dropout, self.training)
        return weights @ values, weights


def _joined(queries: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """Return one mask to add to the scores of each head: of padding (rows, places) and of places or heads."""
    added: Tensor | None = None
    if mask is not None:
        added = _as_numbers(mask, queries)
        added = added.unflatten(0, (queries.shape[0], -1)) if added.dim() == 3 else added[None, None]
    if padding is not None:
        by_row = _as_numbers(padding, queries)[:, None, None, :]
        added = by_row if added is None else added + by_row
    return added


def _as_numbers(mask: Tensor, queries: Tensor) -> Tensor:
    if mask.dtype is not torch.bool:
        return mask.to(queries.dtype)
    return torch.zeros_like(mask, dtype=queries.dtype).masked_fill_(mask, float("-inf"))
