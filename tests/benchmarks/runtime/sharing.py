"""Memory of 4 processes with one model over the size of its weights, and the same under a memory limit."""

import math
from pathlib import Path

from edge_runtime.profiling import memory_of
from tests.benchmarks.record import Figure
from tests.benchmarks.runtime.installed_models import MODELS, installed
from tests.benchmarks.runtime.processes_at_once import alive, limited

PROCESSES = 4
GOALS = {"convnet": 1.3, "fp32 MLP": 1.5, "int8 MLP": 2.1}
LIMITS_MB = {"convnet": 512, "fp32 MLP": 512, "int8 MLP": 256}


def figures(root: Path) -> list[Figure]:
    """Install each model, and look at its processes and at plain ONNX Runtime's."""
    found = []
    empty = {how: _pss_mb(how) for how in ("ours", "plain")}
    for name, make in MODELS.items():
        model = installed(root / name.replace(" ", "-"), make)
        places = {"ours": str(model.store), "plain": str(model.plain)}
        for how, goal in (("ours", GOALS[name]), ("plain", math.inf)):
            added = (_pss_mb(how, places[how]) - empty[how]) / model.weights_mb
            what = "" if how == "ours" else ", plain ONNX Runtime"
            found.append(Figure(f"{name}: PSS of {PROCESSES} over its weights{what}", added, goal, "x", "at_most"))
        megabytes = LIMITS_MB[name]
        ours, plain = (_alive_under(megabytes, how, places[how]) for how in ("ours", "plain"))
        under = f"of {PROCESSES} alive under {megabytes} MiB"
        found += [
            Figure(f"{name}: {under}", ours, PROCESSES, "", "at_least"),
            Figure(f"{name}: {under}, plain ONNX Runtime", plain, PROCESSES - 1, "", "at_most"),
        ]
    return found


def _pss_mb(how: str, *place: str) -> float:
    with alive(PROCESSES, how, *place) as lived:
        if len(lived) < PROCESSES:
            return math.nan
        return sum(memory_of(each.pid).pss_mb for each in lived)


def _alive_under(megabytes: int, how: str, place: str) -> float:
    with limited(megabytes) as group:
        if group is None:
            return math.nan
        with alive(PROCESSES, how, place, group=group) as lived:
            return len(lived)
