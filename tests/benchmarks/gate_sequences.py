"""Sequences of versions at one test split: losses that add up, and second chances, by simulation.

A part of `make bench-gates`; by itself: python -m tests.benchmarks.gate_sequences.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.markdown import Markdown

from quality_gates.policy import AlphaSpending
from quality_gates.statistics import proportions
from tests.benchmarks.record import Figure, record

VERSIONS = 20
ROWS = (504, 2000, 10_000)
MARGINS = {504: 0.04, 2000: 0.02, 10_000: 0.01}
DISCORDANCE = 0.05
ACCURACY = 0.95
SEQUENCES = 2000
CONFIDENCE = 0.95
SPENDING = AlphaSpending(total=0.05, looks=VERSIONS)
ANCHORED = 1.5  # margins that all releases may lose together
NOISE = NormalDist().inv_cdf(0.99) * (SPENDING.total * (1 - SPENDING.total) / SEQUENCES) ** 0.5
NOTES = f"""\
Sequences: {VERSIONS} versions are judged one after the other on the same test rows ({", ".join(map(str, ROWS))} rows,
with margins of {", ".join(f"{100 * MARGINS[n]:g}" for n in ROWS)} points), {SEQUENCES:,} sequences each, and what
passes is the reference of the next. Each loses a quarter to three quarters of the margin, against what is deployed
then, in truth: {100 * DISCORDANCE:g} % of the rows differ. The margin against the anchor, the first release, is
{ANCHORED:g} times the one against the deployed model. Spending tests each look at
{100 * SPENDING.total:g} % / {VERSIONS}. At the margin: all {VERSIONS} versions lose exactly the margin against one
reference, and the share of sequences counts in which any of them passes. The goals of 5 % have the Monte-Carlo error of
{SEQUENCES:,} sequences."""

Counts = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Gate:
    """A gate on accuracy on `n` rows: the most rows that may be lost, for each number of rows that are gained."""

    most_lost: Counts

    @classmethod
    def of(cls, n: int, margin: float, confidence: float) -> "Gate":
        critical = proportions.critical_value(n, -margin, confidence)
        return cls(proportions._most_lost(np.arange(n + 1), n, -margin, critical))

    def passes(self, candidate: Truths, reference: Truths) -> Truths:
        """Decide on sequences (sequences, n) of rows that are answered rightly."""
        gained, lost = (candidate & ~reference).sum(axis=1), (reference & ~candidate).sum(axis=1)
        held: Truths = lost <= self.most_lost[gained]
        return held


def sequences() -> list[Figure]:
    """Total true losses with and without the anchor and spending, and versions at the margin."""
    return [*(figure for n in ROWS for figure in _creep(n)), *_at_the_margin()]


def _creep(n: int) -> list[Figure]:
    margin, cumulative = MARGINS[n], ANCHORED * MARGINS[n]
    alone = total_losses(n, None, CONFIDENCE)
    anchored = total_losses(n, cumulative, CONFIDENCE)
    spent = total_losses(n, cumulative, 1 - SPENDING.level)
    goal = 100 * (SPENDING.total + NOISE)
    return [
        Figure(f"mean true loss of {VERSIONS} releases, n = {n:,}, no anchor", float(alone.mean()) / margin, ANCHORED,
               "margins", "at_most"),
        Figure("... with an anchor", float(anchored.mean()) / margin, ANCHORED, "margins", "at_most"),
        Figure("... sequences that lose more than the anchor allows, no anchor", _share(alone, cumulative), goal, "%",
               "at_most"),
        Figure("... with an anchor", _share(anchored, cumulative), goal, "%", "at_most"),
        Figure("... with an anchor and spending", _share(spent, cumulative), goal, "%", "at_most"),
    ]  # fmt: skip


def _share(losses: npt.NDArray[np.float64], allowed: float) -> float:
    return 100 * float((losses > allowed).mean())


def total_losses(n: int, cumulative: float | None, confidence: float) -> npt.NDArray[np.float64]:
    """Return what is lost in truth from the first release to the last, (sequences,)."""
    random = np.random.default_rng(n)
    margin = MARGINS[n]
    deployed = random.random((SEQUENCES, n)) < ACCURACY
    anchor, accuracy = deployed.copy(), np.full(SEQUENCES, ACCURACY)
    against_deployed = Gate.of(n, margin, confidence)
    against_anchor = None if cumulative is None else Gate.of(n, cumulative, confidence)
    for _ in range(VERSIONS):
        loss = margin * random.uniform(0.25, 0.75, SEQUENCES)
        candidate = _less_right(deployed, accuracy, loss, random)
        passes = against_deployed.passes(candidate, deployed)
        if against_anchor is not None:
            passes &= against_anchor.passes(candidate, anchor)
        deployed[passes] = candidate[passes]
        accuracy -= np.where(passes, loss, 0)
    lost: npt.NDArray[np.float64] = ACCURACY - accuracy
    return lost


def _less_right(
    deployed: Truths, accuracy: npt.NDArray[np.float64], loss: npt.NDArray[np.float64], random: np.random.Generator
) -> Truths:
    """Return candidates that differ from what is deployed on a share of rows, and lose so much in truth."""
    gains = np.minimum((DISCORDANCE - loss) / 2, 0.9 * (1 - accuracy))
    of_wrong, of_right = gains / (1 - accuracy), (gains + loss) / accuracy
    drawn = random.random(deployed.shape, dtype=np.float32)
    turned = drawn < np.where(deployed, of_right[:, None], of_wrong[:, None])
    candidate: Truths = deployed ^ turned
    return candidate


def _at_the_margin() -> list[Figure]:
    """Versions that lose exactly the margin against one reference, all judged on the same rows."""
    n, goal = 2000, 100 * (SPENDING.total + NOISE)
    each, spent = (_any_passes(n, confidence) for confidence in (CONFIDENCE, 1 - SPENDING.level))
    return [
        Figure(f"{VERSIONS} versions at the margin, n = {n:,}: any passes, each look at 5 %", each, goal, "%",
               "at_most"),
        Figure(f"... spending 5 % over {VERSIONS} looks", spent, goal, "%", "at_most"),
    ]  # fmt: skip


def _any_passes(n: int, confidence: float) -> float:
    random, margin = np.random.default_rng(n), MARGINS[n]
    reference = random.random((SEQUENCES, n)) < ACCURACY
    gate, any_passes = Gate.of(n, margin, confidence), np.zeros(SEQUENCES, dtype=bool)
    accuracy, loss = np.full(SEQUENCES, ACCURACY), np.full(SEQUENCES, margin)
    for _ in range(VERSIONS):
        any_passes |= gate.passes(_less_right(reference, accuracy, loss, random), reference)
    return 100 * float(any_passes.mean())


def main() -> None:
    """Measure all figures and record them."""
    table = record("gate_sequences", "make bench-gates", sequences(), NOTES)
    Console().print(Markdown(table))


if __name__ == "__main__":
    main()
