"""`make bench-trajectory`: costs and benefits of pruning, fine-tuning and distillation.

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
from tests.benchmarks.trajectory.students import ARCHITECTURES, student_lead

MEASURES: dict[str, Callable[[], list[Figure]]] = {
    "devices": five_devices,
    "step": distilling_step,
    "pruning": pruning,
    **{name: partial(student_lead, name) for name in ARCHITECTURES},
    "language": language,
}

NOTES = """devices: processor time of one pruning trajectory with its fine-tuning for five device profiles over that
for the hardest of them, on the demo's digits, each in an empty stage store, both in one run. step: median processor
time of a step of 64 images of the 78,000-parameter ResNet over a bare torch loop that asks the same teacher in every
step. pruning: mean of two seeds; sides differ in which channels go, all else is the same: the parent (308,074
parameters, .932 on test), a sixth of an epoch a round (8 rounds), half an epoch at each size, the distilling
fine-tuning, 512 rows to score on before every small cut. torch-pruning's GroupTaylorImportance, one pruner for the
whole trajectory, with one ratio for all layers and with one global ranking; ours is held against each at no more than
its parameters, and the worse of the two leads counts. language: the recipe's own pruning of reuters-r8, up to its last
round. students: mean accuracy on the test rows over three seeds, the recipe's student taught by the parent minus the
same student trained on the ground truth alone, the same rows, steps and schedule. The parent of shuttle is hardly
better than its student alone; that of reuters-r8 is by half a point, and yet its student learns more alone."""


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
