"""TODO."""

from tasks.compression.float_export import ModelFile, Trained, export_snapshot
from tasks.compression.parent_baseline import Baseline, measure_baseline
from tasks.compression.rungs import make_file
from tasks.compression.samples import rows_with_slices
from tasks.compression.snapshots import Snapshot
from tasks.compression.students import Student, check_students, distil
from tasks.compression.trajectory import Trajectory, prune

__all__ = [
    "Baseline",
    "ModelFile",
    "Snapshot",
    "Student",
    "Trained",
    "Trajectory",
    "check_students",
    "distil",
    "export_snapshot",
    "make_file",
    "measure_baseline",
    "prune",
    "rows_with_slices",
]
