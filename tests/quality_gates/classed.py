"""Models of three classes whose answers have targets, confidences and probabilities, for the tests of metrics."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.statistics import row_scores
from tests.quality_gates.builders import resources

CLASSES = np.array(["ok", "crack", "dent"])


def answers(n: int = 600, wrong: Sequence[int] = (), seed: int = 0) -> pd.DataFrame:
    """Row i is of class i % 3, the rows in `wrong` are answered with the next class; heat and site describe rows."""
    random = np.random.default_rng(seed)
    target = np.arange(n) % 3
    prediction = target.copy()
    prediction[list(wrong)] = (prediction[list(wrong)] + 1) % 3
    confidence = random.uniform(0.9, 1.0, n)
    probabilities = np.full((n, 3), ((1 - confidence) / 2)[:, None])
    probabilities[np.arange(n), prediction] = confidence
    frame = pd.DataFrame({"row_id": np.arange(n), "prediction": CLASSES[prediction]})
    frame["score"] = (prediction == target).astype(float)
    frame["target"], frame["confidence"] = CLASSES[target], confidence
    scores = row_scores(probabilities, target)
    frame["brier"], frame["log_loss"] = scores["brier"], scores["log_loss"]
    for code, name in enumerate(CLASSES):
        frame[f"p({name})"] = probabilities[:, code]
    return frame.assign(heat=np.arange(n) % 100 / 10, site=np.where(np.arange(n) % 7 < 3, "north", "south"))


def seen(candidate: pd.DataFrame, parent: pd.DataFrame | None = None, deployed: pd.DataFrame | None = None) -> Evidence:
    """Evidence of these rows; the parent is flawless and the deployed model is the parent unless given."""
    parent = answers(len(candidate)) if parent is None else parent
    deployed = parent if deployed is None else deployed
    ours, theirs, last = (ModelEvidence(rows, resources()) for rows in (candidate, parent, deployed))
    return Evidence(ours, theirs, last)
