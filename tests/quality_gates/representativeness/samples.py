"""Rows drawn from a known distribution: three classes, two sites, and a parent that is right more often than not."""

import numpy as np
import pandas as pd

from quality_gates.representativeness import RepresentativenessPolicy, Sample

PRIOR = (0.5, 0.3, 0.2)


def draw(
    seed: int, rows: int, prior: tuple[float, ...] = PRIOR, north: float = 0.4, noise: float = 1.0, labels: bool = True
) -> Sample:
    """Class scores are 2 for the label plus noise; the site does not depend on the label."""
    generator = np.random.default_rng(seed)
    targets = generator.choice(len(prior), rows, p=prior)
    outputs = 2 * np.eye(len(prior))[targets] + noise * generator.normal(size=(rows, len(prior)))
    sites = np.where(generator.random(rows) < north, "north", "south")
    slices = pd.DataFrame({"site": sites})
    return Sample.of(outputs.astype(np.float32), outputs.argmax(1), targets if labels else None, slices)


def policy(**changes: float | str) -> RepresentativenessPolicy:
    """Effects of 0.1 allowed, at 95 %."""
    values = {"label_prior": 0.1, "slice_shares": 0.1, "predictions": 0.1, "outputs": 0.1, "confidence": 0.95}
    return RepresentativenessPolicy.model_validate({**values, "on_mismatch": "warn", **changes})
