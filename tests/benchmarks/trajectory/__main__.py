"""`make bench-trajectory`: what pruning, fine-tuning and distillation cost and bring.

`python -m tests.benchmarks.trajectory NAME ...` measures some figures alone. The table shows the last measured values
of all; one that was never measured is NaN and holds nothing.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

from rich.markdown import Markdown

from tests.benchmarks.record import Figure, record
from tests.benchmarks.trajectory.cache import CACHE, console
from tests.benchmarks.trajectory.devices import five_devices
from tests.benchmarks.trajectory.language import language
from tests.benchmarks.trajectory.pruning import pruning
from tests.benchmarks.trajectory.step import distilling_step
from tests.benchmarks.trajectory.students import student_lead

MEASURES: dict[str, Callable[[], list[Figure]]] = {
    "devices": five_devices,
    "step": distilling_step,
    "pruning": pruning,
    "mobilenet": partial(student_lead, "mobilenet"),
    "shuttle": partial(student_lead, "shuttle"),
    "language": language,
}

NOTES = """devices: processor time of one pruning trajectory with its fine-tuning for five device profiles over that
for the hardest of them, on the demo's digits, each in an empty stage store, both in one run. step: median processor
time of a step of 64 images of the 78,000-parameter ResNet over a bare torch loop that asks the same teacher in every
step. pruning: one seed each; sides differ in which channels go and in how often they are scored (ours after every small
cut, torch-pruning's once a round by a new pruner, which rounds widths down each time): the same parent (308,074
parameters), the same sizes or just below, a quarter of an epoch a round (8 rounds), two epochs at each size, the same
distilling fine-tuning; of torch-pruning's GroupTaylorImportance the better of one ratio for all layers and one global
ranking. At equal parameters ours keeps more multiplications. students: mean accuracy on the test rows over three seeds,
the recipe's student taught by the parent minus the same student trained on the ground truth alone, the same rows, steps
and schedule."""


def main(names: Sequence[str]) -> None:
    """Measure the named figures, or all, and record the table."""
    if unknown := sorted(set(names) - set(MEASURES)):
        sys.exit(f"expected names of {', '.join(MEASURES)}, got {', '.join(unknown)}")
    for name in names or MEASURES:
        _keep(name, MEASURES[name]())
    figures = [figure for name in MEASURES for figure in _kept(name)]
    console.print(Markdown(record("trajectory", "make bench-trajectory", figures, NOTES)))


def _keep(name: str, figures: list[Figure]) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / f"{name}.json").write_text(json.dumps([asdict(figure) for figure in figures]))


def _kept(name: str) -> list[Figure]:
    file = CACHE / f"{name}.json"
    if not file.exists():
        return [Figure(f"{name}: not measured", math.nan, math.nan, "", "at_least")]
    return [Figure(**figure) for figure in json.loads(file.read_text())]


if __name__ == "__main__":
    main(sys.argv[1:])
