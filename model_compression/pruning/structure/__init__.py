"""Structure: attention heads and residual layers, found in the graph of a rebuilt program and removed.

A graph and example rows come in. `observe` runs it once and returns the value of every node. From these, `attentions`
finds the rows and columns of each head and `residuals` finds the layers that can be left out. `remove_heads` and
`remove_residual` change the graph in place.
"""

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
