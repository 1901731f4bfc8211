"""The gates: each kind of gate in a file of its own, and the decision over all of them.

A policy and the evidence come in, a verdict goes out. Each kind declares its keys in a recipe, how it is decided, how
many rows it needs, and how reports show it. A new kind is a file with a subclass of `GateKind`, and an entry in the
union `Gate` and in `KINDS`; its class is public only where another room builds or reads such gates itself. The pipeline
adds `ProvenInstructionSet` and `Floors` by itself.
"""

from quality_gates.gates.added import Floors, ProvenInstructionSet, critical_slices, floors_of, without_floor
from quality_gates.gates.decision import (
    KINDS,
    Gate,
    GatePolicy,
    check_shows,
    check_slices,
    decide,
    of_rows,
    plan,
    shown_of,
    unproven,
    unseen_classes,
)
from quality_gates.gates.figures_in_words import digits_to_tell_apart
from quality_gates.gates.flips import Flips
from quality_gates.gates.found_slices import FoundSlices
from quality_gates.gates.kind import AllowedSide, Demand, GateKind, Shown
from quality_gates.gates.limit import Limit
from quality_gates.gates.non_inferiority import NonInferiority
from quality_gates.gates.parity import Parity
from quality_gates.gates.planning import PlanLine
from quality_gates.gates.plausibility import Plausibility
from quality_gates.gates.probability_calibration import Calibration
from quality_gates.gates.representativeness import Representative

__all__ = [
    "KINDS",
    "AllowedSide",
    "Calibration",
    "Demand",
    "Flips",
    "Floors",
    "FoundSlices",
    "Gate",
    "GateKind",
    "GatePolicy",
    "Limit",
    "NonInferiority",
    "Parity",
    "PlanLine",
    "Plausibility",
    "ProvenInstructionSet",
    "Representative",
    "Shown",
    "check_shows",
    "check_slices",
    "critical_slices",
    "decide",
    "digits_to_tell_apart",
    "floors_of",
    "of_rows",
    "plan",
    "shown_of",
    "unproven",
    "unseen_classes",
    "without_floor",
]
