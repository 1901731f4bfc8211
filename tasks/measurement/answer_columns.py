"""What measured rows say beside predictions and scores, for the metrics that need it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from deployments.errors import ConfigurationError
from deployments.workload import SplitName
from quality_gates.policy import probability_column
from tasks.errors import one_line
from tasks.job import Job


def more_answers(job: Job, split: SplitName, outputs: np.ndarray, answers: Mapping[str, object]) -> dict[str, object]:
    """Return target, confidence of the prediction, and p(k) for every class k whose AUROC a gate holds.

    What the workload does not give is left out, and a gate that needs it fails with that reason.
    Raises ConfigurationError when the workload's labels or probabilities do not fit its rows.
    """
    rows = job.splits[split]
    try:
        labels, table = job.workload.right_answers(rows.targets), job.workload.probabilities(outputs)
    except Exception as error:  # user code
        raise ConfigurationError(
            f"workload `{job.recipe.workload}`: expected labels and probabilities for outputs of shape "
            f"{outputs.shape}, got {one_line(error)}; correct Workload.right_answers and Workload.probabilities"
        ) from error
    for name, found in (("right_answers", labels), ("probabilities", table)):
        if found is not None and len(found) != len(rows):
            raise ConfigurationError(
                f"workload `{job.recipe.workload}`: expected {name} for each of {len(rows)} rows, got {len(found)}; "
                f"correct Workload.{name}"
            )
    more: dict[str, object] = {} if labels is None else {"target": labels}
    return more if table is None else more | _probabilities(job, table, np.asarray(answers["prediction"]))


def _probabilities(job: Job, table: pd.DataFrame, predictions: np.ndarray) -> dict[str, object]:
    found: dict[str, object] = {}
    place = pd.Index(table.columns).get_indexer(pd.Index(predictions))
    if (place >= 0).all():
        found["confidence"] = table.to_numpy(dtype=float)[np.arange(len(table)), place]
    for gate in job.recipe.gates:
        of = getattr(gate, "of", None)
        if getattr(gate, "metric", None) == "auroc" and of in table.columns:
            found[probability_column(of)] = table[of].to_numpy(dtype=float)
    return found
