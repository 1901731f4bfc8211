"""Units larger than a channel, found in a rebuilt program's graph: attention heads and residual layers."""

from model_compression.structure.attention import Attention, Head, attentions
from model_compression.structure.heads import remove_heads
from model_compression.structure.residual import Residual, remove_residual, residuals

__all__ = ["Attention", "Head", "Residual", "attentions", "remove_heads", "remove_residual", "residuals"]
