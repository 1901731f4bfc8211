"""Compression: the parent's baseline, its pruning trajectory, students, and a file for each rung of the ladder.

In comes the context of a version; out go snapshots and students, which are float models on disk, and ONNX files made of
them. The structure of a release is recorded, and another version can take it on. Of a family, another version can take
on the backbone's file and put new heads beside it. Every long step is a stage of the
store, so that what finished is not computed again.
"""

from tasks.compression.cost_estimate import CostEstimate, CostLine, estimate_cost
from tasks.compression.family_files import layers_one_at_a_time
from tasks.compression.float_models import LOADING, FloatSource, ModelFile, Snapshot, UpdatedFamily, export_snapshot
from tasks.compression.kept_structure import DeployedStructure, check_bounds, rung_of, take_on
from tasks.compression.new_heads import DeployedFamily, may_lose_alike, update_family
from tasks.compression.parent_baseline import Baseline, expected_file, measure_baseline
from tasks.compression.rung_files import float_bytes, float_file, make_file, rows_with_slices
from tasks.compression.structures import (
    STRUCTURE,
    WEIGHTS_FOLDER,
    FamilyParts,
    ReleaseStructure,
    members_of,
    parts_of,
    program_of,
    released_program,
    released_structure,
    released_weights,
    structure_of,
    weights_of,
)
from tasks.compression.students import Student, check_students, distil
from tasks.compression.trajectory import Step, Trajectory, prune

__all__ = [
    "LOADING",
    "STRUCTURE",
    "WEIGHTS_FOLDER",
    "Baseline",
    "CostEstimate",
    "CostLine",
    "DeployedFamily",
    "DeployedStructure",
    "FamilyParts",
    "FloatSource",
    "ModelFile",
    "ReleaseStructure",
    "Snapshot",
    "Step",
    "Student",
    "Trajectory",
    "UpdatedFamily",
    "check_bounds",
    "check_students",
    "distil",
    "estimate_cost",
    "expected_file",
    "export_snapshot",
    "float_bytes",
    "float_file",
    "layers_one_at_a_time",
    "make_file",
    "may_lose_alike",
    "measure_baseline",
    "members_of",
    "parts_of",
    "program_of",
    "prune",
    "released_program",
    "released_structure",
    "released_weights",
    "rows_with_slices",
    "rung_of",
    "structure_of",
    "take_on",
    "update_family",
    "weights_of",
]
