"""`make bench-gates`, the section on groups and leaks: error rates and power where rows belong together, planted rows.

The truth is drawn by groups: the shares that are lost and gained vary between groups (Dirichlet), and rows within one
group are as alike as the correlation says.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from rich.console import Console
from rich.markdown import Markdown

from deployments.leaks import near_rows, shared_rows
from deployments.rows import SPLITS, Split, SplitName
from quality_gates.evidence import Evidence, ModelEvidence, RowGroups
from quality_gates.gates import Gate
from quality_gates.statistics import proportions
from quality_gates.statistics.grouped_rows import grouped_bounds, grouped_share_bounds
from tests.benchmarks.record import Figure, record
from tests.quality_gates.grouped import GROUP, GroupedTruth, Sizes

MARGINS = {10: 0.3, 20: 0.2, 50: 0.1, 200: 0.05}
"""Margins by numbers of groups, at which an equal model can pass at all."""
ALIKE = (0.05, 0.3, 1.0)
SIZES: tuple[Sizes, ...] = ("equal", "unequal")
DRAWS, GATE_DRAWS, CUSTOM_DRAWS = 400, 200, 100
CONFIDENCE = 0.95
OF_BOOTSTRAP = (20, 50, 200)
IMAGES = {"train": 40_000, "calibration": 2_000, "validation": 8_000, "test": 10_000}
PLANTED = 400
console = Console()


def main() -> None:
    """Measure all figures, or those of the named parts, and record them."""
    parts = sys.argv[1:] or list(PARTS)
    figures = [figure for part in parts for figure in PARTS[part]()]
    if parts == list(PARTS):
        console.print(Markdown(record("gates_groups", "make bench-gates", figures, NOTES)))
    for figure in figures:
        console.print(figure)


NOTES = f"""\
Groups: {", ".join(map(str, MARGINS))} groups of 10 rows, or of sizes from a log-normal distribution with a mean of 10
and a sigma of 1; correlations within groups of {", ".join(map(str, ALIKE))}; margins of 30, 20, 10 and 5 points, and
2 % of the rows are gained beside. Shares: {DRAWS:,} draws in each of 24 cells; the goal is 5 % and three standard
errors. "Rows as units" is Tango's interval for independent rows on the same draws. The other metrics are whole gates
with 20 to 200 groups, {GATE_DRAWS} draws in each of 18 cells, the custom one {CUSTOM_DRAWS} draws of 20 groups of 5
rows. Power: an equal model that gains and loses 2 % of the rows each, margin 5 points, unequal sizes, a correlation of
0.2. Leaks: {sum(IMAGES.values()):,} pictures of 28x28, drawn of soft blobs; {PLANTED} of 10,000 test rows are replaced
by training rows, exactly or changed: brightness times 0.7 to 1.3, noise with a standard deviation of 3 % of white, a
crop by one pixel on each side. False alarms are test pictures that nobody planted. Seconds are wall time."""


def shares() -> Iterator[Figure]:
    """The worst cell of shares of rows with the true loss at the limit, and power."""
    worst: dict[str, float] = {}
    for truth in _cells(MARGINS):
        for name, share in _passing(truth, MARGINS[truth.groups]).items():
            worst[name] = max(worst.get(name, 0.0), share)
            sys.stderr.write(f"{name} {truth} {share:.3f}\n")
    yield Figure("false passes of accuracy in groups, the worst cell", 100 * worst["paired"], 8.3, "%", "at_most")
    yield Figure("... rows as units", 100 * worst["rows"], 8.3, "%", "at_most")
    yield Figure("false passes of flips in groups, the worst cell", 100 * worst["flips"], 8.3, "%", "at_most")
    yield Figure("false passes of a limit in groups, the worst cell", 100 * worst["limit"], 8.3, "%", "at_most")
    for groups, goal in ((50, 0.0), (100, 60.0), (200, 80.0)):
        equal = GroupedTruth(groups, 10, 0.2, 0.02, 0.02, "unequal")
        power = 100 * _passing(equal, 0.05)["paired"]
        yield Figure(f"power of accuracy, {groups} groups, margin of 5 points", power, goal, "%", "at_least")


def _cells(numbers: Iterable[int]) -> Iterator[GroupedTruth]:
    """Yield truths at the limit: 2 % of the rows are gained, and as many and the margin are lost."""
    for groups in numbers:
        for sizes in SIZES:
            for alike in ALIKE:
                yield GroupedTruth(groups, 10, alike, MARGINS[groups] + 0.02, 0.02, sizes)


def _passing(truth: GroupedTruth, margin: float) -> dict[str, float]:
    """Return the share of draws that pass: paired, by flips, by a limit on the share right, and with rows as units."""
    random = np.random.default_rng(11)
    passed = dict.fromkeys(("paired", "rows", "flips", "limit"), 0)
    for _ in range(DRAWS):
        codes, told = truth.rows_told(random)
        groups = RowGroups.of(codes)
        if groups is None:
            continue
        gains, lost = (told == 2).astype(float) - (told == 1), told == 1
        passed["paired"] += grouped_bounds(gains, groups, margin, CONFIDENCE)[0] > -margin
        passed["flips"] += grouped_share_bounds(lost, groups, CONFIDENCE)[1] <= truth.lost
        passed["limit"] += grouped_share_bounds(~lost, groups, CONFIDENCE)[0] > 1 - truth.lost
        gained, lost_rows = int((told == 2).sum()), int(lost.sum())
        passed["rows"] += proportions.score_interval(gained, lost_rows, len(told), CONFIDENCE)[0] > -margin
    return {name: count / DRAWS for name, count in passed.items()}


@dataclass(frozen=True)
class _Case:
    """A gate whose true loss is its margin where a share of rows of `margin` is lost."""

    keys: dict[str, object]
    scale: float = 1.0

    def gate(self, margin: float) -> Gate:
        keys = {"kind": "non_inferiority", "name": "g", "against": "parent", "confidence": CONFIDENCE, **self.keys}
        made: Gate = TypeAdapter(Gate).validate_python(keys | {"margin": self.scale * margin})
        return made


CASES = {
    "balanced accuracy": _Case({"metric": "balanced_accuracy"}),
    "AUROC": _Case({"metric": "auroc", "of": 1}),
    "Brier score": _Case({"kind": "calibration", "metric": "brier"}, 2.0),
    "MAE": _Case({"metric": "mae"}),
}


def bootstrap() -> Iterator[Figure]:
    """The worst cell of metrics with a cluster bootstrap, with the true loss at the margin."""
    for name, case in CASES.items():
        worst = max(_gate_passes(case, truth, GATE_DRAWS) for truth in _cells(OF_BOOTSTRAP))
        yield Figure(f"false passes of {name} in groups, the worst cell", 100 * worst, 9.5, "%", "at_most")
    own = _Case({"metric": "own:accuracy", "better": "higher"})
    passed = _gate_passes(own, GroupedTruth(20, 5, 0.3, 0.22, 0.02), CUSTOM_DRAWS)
    yield Figure("false passes of a custom accuracy, 20 groups", 100 * passed, 9.5, "%", "at_most")


def _gate_passes(case: _Case, truth: GroupedTruth, draws: int) -> float:
    random, gate = np.random.default_rng(12), case.gate(MARGINS[truth.groups])
    drawn = _errors if case.keys.get("metric") == "mae" else GroupedTruth.evidence
    passed = 0
    for _ in range(draws):
        seen = replace(drawn(truth, random), functions={"own:accuracy": lambda rows: float(rows["score"].mean())})
        passed += gate.evaluate(seen).outcome == "pass"
    sys.stderr.write(f"{case.keys} {truth} {passed / draws:.3f}\n")
    return passed / draws


def _errors(truth: GroupedTruth, random: np.random.Generator) -> Evidence:
    """Errors of candidate and parent whose difference has a mean of the margin, part of it by groups."""
    codes, _ = truth.rows_told(random)
    n, margin = len(codes), truth.lost - truth.gained
    common = random.gamma(4, 0.5, n)
    of_group = random.normal(size=truth.groups)[codes]
    change = np.sqrt(truth.alike) * of_group + np.sqrt(1 - truth.alike) * random.normal(size=n)
    frame = pd.DataFrame({"row_id": np.arange(n), GROUP: codes, "prediction": np.arange(n) % 7})
    ours, theirs = common + margin + 0.2 * change, common
    return Evidence(
        ModelEvidence(frame.assign(score=10 + ours), None),
        ModelEvidence(frame.assign(score=10 + theirs), None),
        None,
        group=GROUP,
    )


def leaks() -> Iterator[Figure]:
    """Planted rows that are found, exact and changed, and the seconds that both looks take."""
    random = np.random.default_rng(13)
    made = {name: _pictures(IMAGES[name], random) for name in SPLITS}
    at = random.choice(IMAGES["test"], PLANTED, replace=False)
    source = made["train"][random.choice(IMAGES["train"], PLANTED, replace=False)]
    for name, change in CHANGES.items():
        planted = dict(made) | {"test": made["test"].copy()}
        planted["test"][at] = change(source, random)
        splits = _splits(planted)
        start = time.perf_counter()
        if name == "exact":
            found = next((each.rows for each in shared_rows(splits) if each.is_leak), 0)
            yield Figure("planted exact rows found, of 400", found, PLANTED, "rows", "at_least")
        else:
            pairs = {(each.making, each.judging): each.rows for each in near_rows(splits, None)}
            share = 100 * pairs.get(("train", "test"), 0) / PLANTED
            yield Figure(f"planted rows found, {name}", share, NEAR_GOALS[name], "%", "at_least")
        if name in ("exact", "brightness"):
            seconds = time.perf_counter() - start
            yield Figure(f"... seconds for 60,000 rows, {name}", seconds, SECONDS[name], "s", "at_most")
    alarms = sum(each.rows for each in near_rows(_splits(made), None) if each.judging == "test")
    yield Figure("false alarms of near rows", 100 * alarms / IMAGES["test"], 1, "%", "at_most")


def _crop(pictures: np.ndarray, _random: np.random.Generator) -> np.ndarray:
    return np.pad(pictures[:, :, 1:-1, 1:-1], ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")


def _brighter(pictures: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return pictures * random.uniform(0.7, 1.3, (len(pictures), 1, 1, 1)).astype(np.float32)


def _noisy(pictures: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return pictures + random.normal(0, 0.03, pictures.shape).astype(np.float32)


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "exact": lambda pictures, _random: pictures,
    "brightness": _brighter,
    "noise": _noisy,
    "crop": _crop,
}
NEAR_GOALS = {"brightness": 90.0, "noise": 70.0, "crop": 30.0}
SECONDS = {"exact": 10.0, "brightness": 60.0}


def _pictures(rows: int, random: np.random.Generator) -> np.ndarray:
    """Pictures of six soft blobs each, (rows, 1, 28, 28)."""
    at = np.arange(28, dtype=np.float32)
    made = np.zeros((rows, 28, 28), dtype=np.float32)
    for _ in range(6):
        x, y = (random.uniform(2, 26, (rows, 1)).astype(np.float32) for _ in range(2))
        wide, high = random.uniform(1.5, 5, (rows, 1)), random.uniform(0.3, 1, (rows, 1, 1))
        across, down = (np.exp(-((at - place) ** 2) / (2 * wide**2)) for place in (x, y))
        made += (high * down[:, :, None] * across[:, None, :]).astype(np.float32)
    return made[:, None]


def _splits(made: dict[SplitName, np.ndarray]) -> dict[SplitName, Split]:
    return {
        name: Split((rows,), np.zeros(len(rows), dtype=np.int64), pd.DataFrame({"label": np.zeros(len(rows))}))
        for name, rows in made.items()
    }


PARTS: dict[str, Callable[[], Iterator[Figure] | Sequence[Figure]]] = {
    "shares": shares,
    "bootstrap": bootstrap,
    "leaks": leaks,
}

if __name__ == "__main__":
    main()
