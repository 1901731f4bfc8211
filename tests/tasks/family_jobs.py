"""A family of three tasks of different kinds, with gates of every kind that a member may have."""

from typing import Any

from deployments.recipe import FamilyRecipe
from deployments.workload import read_splits
from quality_gates.policy import SliceCondition
from tasks.job import Job
from tasks.workspace import Workspace
from tests.deployments.families import different_tasks
from tests.deployments.families.different_tasks import OUTPUTS, WEIGHTS
from tests.tasks import tiny

MODULE = different_tasks.__name__
LEFT = {"column": "label", "equals": "left"}
METRIC = "tests.deployments.metrics:share_of_wrong_rows"
GATES: dict[str, tuple[dict[str, Any], ...]] = {
    "bright": (
        {"kind": "non_inferiority", "name": "accuracy", "metric": "accuracy", "against": "parent", "margin": 0.3},
        {"kind": "non_inferiority", "name": "on left", "metric": "accuracy", "against": "parent", "margin": 0.4,
         "slice": LEFT},
        {"kind": "limit", "name": "left at least", "metric": "accuracy", "slice": LEFT, "at_least": 0.05},
        {"kind": "non_inferiority", "name": "recall", "metric": "recall", "of": "right", "against": "parent",
         "margin": 0.4},
        {"kind": "non_inferiority", "name": "macro", "metric": "macro_f1", "against": "parent", "margin": 0.4},
        {"kind": "non_inferiority", "name": "ranks", "metric": "auroc", "of": "left", "against": "parent",
         "margin": 0.4},
        {"kind": "flips", "name": "flips", "against": "parent", "at_most": 0.5},
        {"kind": "calibration", "name": "believable", "metric": "brier", "against": "parent", "margin": 0.5},
        {"kind": "limit", "name": "own metric", "metric": METRIC, "better": "lower", "at_most": 0.9},
        {"kind": "plausibility", "name": "plausible", "metric": "accuracy", "gain_at_most": 0.2},
        {"kind": "non_inferiority", "name": "against anchor", "metric": "accuracy", "against": "anchor",
         "margin": 0.2},
    ),
    "mean": (
        {"kind": "non_inferiority", "name": "error", "metric": "mae", "against": "parent", "margin": 0.5},
        {"kind": "limit", "name": "error at most", "metric": "rmse", "at_most": 2.0},
    ),
    "masks": (
        {"kind": "non_inferiority", "name": "overlap", "metric": "mean_score", "against": "parent", "margin": 0.2},
    ),
}  # fmt: skip
KINDS = {"bright": "Bright", "mean": "Mean", "masks": "Masks"}


def recipe(**changes: Any) -> FamilyRecipe:
    """The family's recipe, with fields replaced."""
    single = tiny.recipe()
    kept = {name: value for name, value in dict(single).items() if name not in ("workload", "gates", "members")}
    members = [
        {
            "name": name, "model": f"tiny-{name}", "workload": f"{MODULE}:{KINDS[name]}",
            "outputs": list(OUTPUTS[name]), "weight": WEIGHTS[name], "gates": confident(gates),
        }
        for name, gates in GATES.items()
    ]  # fmt: skip
    return FamilyRecipe.model_validate(kept | {"model": "tiny-family", "members": members} | changes)


def confident(gates: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """Give each gate a confidence."""
    return [gate | {"confidence": 0.95} for gate in gates]


def job(workspace: Workspace, **changes: Any) -> Job:
    """A job of the family, without asking the registry."""
    asked = recipe(**changes)
    workload = asked.load_workload()
    return Job(asked.model, "1", asked, workload, read_splits(workload), workspace)


def of_task(name: str) -> SliceCondition:
    """The rows that ask a task."""
    return SliceCondition(column="task", equals=name)
