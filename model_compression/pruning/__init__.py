"""TODO."""

from model_compression.pruning.costs import NOTHING, Resource, costs_of, int8_weight_bytes, parameters
from model_compression.pruning.importance import Criterion, unit_scores
from model_compression.pruning.rounds import History, Round, remove_units, removed_units
from model_compression.pruning.snapshot import load_snapshot, read_history, save_snapshot
from model_compression.pruning.units import Kind, Protected, protected_units, units_of
from model_compression.pruning.vocabulary import trim_vocabulary

__all__ = [
    "NOTHING",
    "Criterion",
    "History",
    "Kind",
    "Protected",
    "Resource",
    "Round",
    "costs_of",
    "int8_weight_bytes",
    "load_snapshot",
    "parameters",
    "protected_units",
    "read_history",
    "remove_units",
    "removed_units",
    "save_snapshot",
    "trim_vocabulary",
    "unit_scores",
    "units_of",
]
