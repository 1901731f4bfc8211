"""Which gates of a recipe its test rows can decide, before any model is there."""

from pathlib import Path

import pandas as pd

from deployments.workload import load_workload
from quality_gates.gates import PlanLine, plan
from tasks.upstream.job_checks import check_recipe


def plan_of(path: Path, discordance: float) -> list[tuple[str, list[PlanLine]]]:
    """Return (device, a line per gate) for each device; raises ConfigurationError or PreflightError."""
    recipe, splits = check_recipe(path)
    test = splits["test"]
    labels = load_workload(recipe.workload).right_answers(test.targets)
    rows = test.slices.reset_index(drop=True)
    rows = rows if labels is None else pd.concat([rows, pd.Series(labels, name="target")], axis=1)
    return [(device.name, list(plan(recipe.policy(device), rows, discordance))) for device in recipe.devices]
