"""From a registered `pt2` program to a model that can be pruned and trained, without its source code."""

from model_compression.intake.equality import check_equal
from model_compression.intake.program import load_program
from model_compression.intake.rebuild import rebuild
from model_compression.intake.signature import InputSpec, input_specs
from model_compression.intake.weights import load_into

__all__ = ["InputSpec", "check_equal", "input_specs", "load_into", "load_program", "rebuild"]
