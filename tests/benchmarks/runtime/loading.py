"""Time from the call that loads to the first answer, beside plain ONNX Runtime, each in a fresh process."""

import math
from pathlib import Path
from statistics import median

from tests.benchmarks.record import Figure
from tests.benchmarks.runtime.installed_models import MODELS, SMALL, installed
from tests.benchmarks.runtime.processes_at_once import alive

TURNS = 11
GOALS = {"convnet": 0.1, "fp32 MLP": 0.5, "small convnet": 1.0, "small MLP": 1.0}


def figures(root: Path) -> list[Figure]:
    """Install each model, and load it in turns with the plain file."""
    found = []
    for name, make in (MODELS | SMALL).items():  # type: ignore[operator]  # two dicts
        model = installed(root / name.replace(" ", "-"), make)
        ours, plain, verified = list[float](), list[float](), list[float]()
        for _ in range(TURNS):
            said = _said("ours", str(model.store))
            ours.append(said["load"])
            verified.append(said["verify"])
            plain.append(_said("plain", str(model.plain))["load"])
        goal = GOALS.get(name, math.inf)
        found += [
            Figure(f"{name}: load to first answer, to plain ONNX Runtime", median(ours) / median(plain), goal, "x",
                   "at_most"),
            Figure(f"{name}: load to first answer, plain ONNX Runtime", median(plain), math.inf, "ms", "at_most"),
            Figure(f"{name}: verification of every byte before it", median(verified), math.inf, "ms", "at_most"),
        ]  # fmt: skip
    return found


def _said(how: str, place: str) -> dict[str, float]:
    with alive(1, how, place) as (one,):
        return one.said
