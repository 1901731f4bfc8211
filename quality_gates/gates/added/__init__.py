"""Gates that the pipeline adds by itself and no recipe writes: floors of critical slices, and the instruction set.

The gates of a recipe come in; out go the slices and classes that are critical, those that no limit holds, and the gate
on them. The gate on the instruction set is added for every device.
"""

from quality_gates.gates.added.floors import Floors, critical_slices, floors_of, without_floor
from quality_gates.gates.added.proven_instruction_set import ProvenInstructionSet

__all__ = ["Floors", "ProvenInstructionSet", "critical_slices", "floors_of", "without_floor"]
