"""Time from the call that loads to the first answer, beside plain ONNX Runtime, each in a fresh process."""

import math
from collections.abc import Sequence
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
        ours, plain = list[dict[str, float]](), list[dict[str, float]]()
        for _ in range(TURNS):
            ours.append(_said("ours", str(model.store)))
            plain.append(_said("plain", str(model.plain)))
        found += [
            Figure(f"{name}: load to first answer, to plain ONNX Runtime", _ms(ours, "load") / _ms(plain, "load"),
                   GOALS.get(name, math.inf), "x", "at_most"),
            Figure(f"{name}: the same without the answer", _ms(ours, "open") / _ms(plain, "open"), math.inf, "x",
                   "at_most"),
            Figure(f"{name}: load to first answer, plain ONNX Runtime", _ms(plain, "load"), math.inf, "ms", "at_most"),
            Figure(f"{name}: verification of every byte before it", _ms(ours, "verify"), math.inf, "ms", "at_most"),
        ]  # fmt: skip
    return found


def _ms(turns: Sequence[dict[str, float]], what: str) -> float:
    return median(turn[what] for turn in turns)


def _said(how: str, place: str) -> dict[str, float]:
    with alive(1, how, place) as (one,):
        return one.said
