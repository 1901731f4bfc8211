"""Models of several graphs for the tests of the tasks: a backbone whose heads answer as one graph would."""

from pathlib import Path

import numpy as np

from tests.edge_runtime.made_families import GraphFile, MadeFamily
from tests.tasks.tiny import FEATURES

WIDE = 8


def scores(folder: Path, seed: int = 1, rest: int = 12) -> MadeFamily:
    """Return a family whose heads give the three scores of the tiny workload: one of them, and the two others."""
    backbone = GraphFile(seed, "x", "features", FEATURES, WIDE, relu=True)
    heads = {"one": GraphFile(11, "features", "one", WIDE, 1), "rest": GraphFile(rest, "features", "rest", WIDE, 2)}
    return MadeFamily(folder, heads, backbone)


def answers(family: MadeFamily, rows: np.ndarray) -> np.ndarray:
    """Return the answers of all heads beside each other, by numpy alone."""
    return np.concatenate(list(family.right(rows).values()), axis=1)
