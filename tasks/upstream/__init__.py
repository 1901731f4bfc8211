"""TODO."""

from tasks.upstream.gate_plan import plan_of
from tasks.upstream.job_checks import check_recipe, preflight
from tasks.upstream.parent_outputs import split_outputs
from tasks.upstream.parents import OnnxParent, Parent, TorchParent
from tasks.upstream.representativeness_check import check_representativeness
from tasks.upstream.resolution import resolve
from tasks.upstream.trainability import REMEDY, UNTRAINABLE, not_done, rungs_for

__all__ = [
    "REMEDY",
    "UNTRAINABLE",
    "OnnxParent",
    "Parent",
    "TorchParent",
    "check_recipe",
    "check_representativeness",
    "not_done",
    "plan_of",
    "preflight",
    "resolve",
    "rungs_for",
    "split_outputs",
]
