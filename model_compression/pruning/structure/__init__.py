"""Structure: channels, attention heads and residual layers, found in the graph of a rebuilt program and removed.

A graph and example rows come in. `observe` runs it once and returns the value of every node. From these, `attentions`
finds the rows and columns of each head and `residuals` finds the layers that can be left out. `channel_flow` tells
which channels belong together. `remove_heads`, `remove_residuals` and `remove_classes` change the graph in place.
"""

from model_compression.pruning.structure.attention import OPERATORS, Attention, attentions
from model_compression.pruning.structure.channel_paths import channel_flow
from model_compression.pruning.structure.channel_removal import remove_classes
from model_compression.pruning.structure.channel_walk import ChannelFlow
from model_compression.pruning.structure.heads import remove_heads
from model_compression.pruning.structure.observation import Values, Watching, observe
from model_compression.pruning.structure.residual import Residual, remove_residuals, residuals

__all__ = [
    "OPERATORS",
    "Attention",
    "ChannelFlow",
    "Residual",
    "Values",
    "Watching",
    "attentions",
    "channel_flow",
    "observe",
    "remove_classes",
    "remove_heads",
    "remove_residuals",
    "residuals",
]
