"""Units larger than a channel, found in a rebuilt program's graph: attention heads and residual layers."""

from model_compression.pruning.structure.attention import OPERATORS, Attention, attentions
from model_compression.pruning.structure.heads import remove_heads
from model_compression.pruning.structure.observation import Values, Watching, observe
from model_compression.pruning.structure.residual import Residual, remove_residual, residuals

__all__ = [
    "OPERATORS",
    "Attention",
    "Residual",
    "Values",
    "Watching",
    "attentions",
    "observe",
    "remove_heads",
    "remove_residual",
    "residuals",
]
