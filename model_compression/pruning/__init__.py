"""Structured pruning: channels, attention heads, residual layers and rows of tables are really removed.

A model and example rows come in. `units_of` finds the units that may be removed, `protected_units` those that must
stay, and why; `failing_units` tries again those of a model that lost some. `unit_scores` estimates from calibration
rows how much each unit matters to the loss, `costs_of` how much of a resource it takes. `remove_units` takes away one
round of units and returns what it removed: a list of such rounds is a history, which `save_snapshot` writes beside the
weights and `load_snapshot` replays on a fresh parent. `replay` alone removes the same units from another parent of one
form. `trim_vocabulary` cuts rows of token tables. `structure` below finds heads and layers in a graph, `own_modules`
does the same for modules of code.
"""

from model_compression.pruning.costs import NOTHING, costs_of, int8_weight_bytes, parameters
from model_compression.pruning.importance import unit_scores
from model_compression.pruning.rounds import History, Round, remove_units, removed_units, replay
from model_compression.pruning.snapshot import WEIGHTS, load_snapshot, load_weights, read_history, save_snapshot
from model_compression.pruning.units import Protected, failing_units, protected_units, units_of
from model_compression.pruning.vocabulary import trim_vocabulary
from model_compression.settings import CostKind, Criterion, Kind

__all__ = [
    "NOTHING",
    "WEIGHTS",
    "CostKind",
    "Criterion",
    "History",
    "Kind",
    "Protected",
    "Round",
    "costs_of",
    "failing_units",
    "int8_weight_bytes",
    "load_snapshot",
    "load_weights",
    "parameters",
    "protected_units",
    "read_history",
    "remove_units",
    "removed_units",
    "replay",
    "save_snapshot",
    "trim_vocabulary",
    "unit_scores",
    "units_of",
]
