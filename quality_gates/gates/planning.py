"""Which gates the data can decide at all, said before anything is trained."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from quality_gates.errors import EvidenceError
from quality_gates.evidence import SliceIndex
from quality_gates.gates.foresight import Foreseen, foresee
from quality_gates.policy import Calibration, Flips, FoundSlices, Gate, GatePolicy, Limit, NonInferiority, Plausibility
from quality_gates.statistics import POWER, rows_for_share, rows_without_a_miss, tango

_ONLY_SHOWN = "yes: only a {} that is shown stops it, and few rows show none"
_NEVER = "no: no number of rows shows it between equal models"


@dataclass(frozen=True)
class PlanLine:
    """One gate: the rows in test that decide, those it needs, and what follows.

    `rows` is None where it is not about numbers of rows, or where the models' answers say which rows count; `needed`
    where no number can be named before there is a model.
    """

    name: str
    rows: int | None
    needed: int | None
    answer: str

    @property
    def decidable(self) -> bool:
        """Whether the gate can be expected to decide."""
        return self.answer.startswith("yes")


def plan(policy: GatePolicy, rows: pd.DataFrame, discordance: float) -> Iterator[PlanLine]:
    """Yield a line per gate: rows that pass it in 4 of 5 cases if the models are equal but differ on some rows.

    `rows` are the test rows' slice columns, and `target` where it is known. `discordance` is the share of rows, in each
    class, on which exactly one of the two models is right; half of them flip the one way, half the other.
    """
    index = SliceIndex(rows)
    for gate in policy.gates:
        try:
            yield _line(gate, rows, index, discordance)
        except EvidenceError as error:
            yield PlanLine(gate.name, 0, None, f"no: {error.reason}")


def _line(gate: Gate, rows: pd.DataFrame, index: SliceIndex, discordance: float) -> PlanLine:
    match gate:
        case NonInferiority():
            return _non_inferiority(gate, foresee(gate, rows, index), discordance)
        case Flips():
            n = int(index.mask(gate.slice).sum())
            return _answer(gate.name, n, rows_for_share(discordance / 2, gate.at_most, gate.confidence, POWER))
        case Limit() if gate.metric is not None:
            return _limit(gate, foresee(gate.choice, rows, index))
        case Calibration():
            n = int(index.mask(gate.slice).sum())
            return _unknown(gate.name, n, "it depends on how far confidences are off")
        case Plausibility():
            return PlanLine(gate.name, foresee(gate, rows, index).rows, None, _ONLY_SHOWN.format("gain"))
        case FoundSlices():
            return PlanLine(gate.name, len(rows), None, _ONLY_SHOWN.format("loss"))
    return PlanLine(gate.name, None, None, "not a matter of rows")


def _non_inferiority(gate: NonInferiority, seen: Foreseen, discordance: float) -> PlanLine:
    if gate.margin == 0:
        return PlanLine(gate.name, seen.rows, None, _NEVER)
    if seen.worth is None or seen.rows is None:
        return _unknown(gate.name, seen.rows, seen.unknown)
    of_accuracy = tango.rows_needed(discordance, gate.margin, gate.confidence, POWER)
    needed = None if of_accuracy is None else math.ceil(of_accuracy * seen.rows / seen.worth)
    return _answer(gate.name, seen.rows, needed)


def _limit(gate: Limit, seen: Foreseen) -> PlanLine:
    """What the candidate will reach is not known; how many rows a flawless one needs is."""
    if gate.metric not in ("accuracy", "recall") or seen.rows is None:
        return _unknown(gate.name, seen.rows, seen.unknown or "it depends on what the candidate reaches")
    fewest = rows_without_a_miss(float(gate.at_least or 0), float(gate.confidence or 0))
    if fewest is None:
        return PlanLine(gate.name, seen.rows, None, "no: not even a flawless candidate shows it")
    if seen.rows < fewest:
        return PlanLine(gate.name, seen.rows, fewest, f"no: {fewest - seen.rows:,} rows more, even without a mistake")
    return _unknown(gate.name, seen.rows, f"it depends on what the candidate reaches; {fewest:,} do without a mistake")


def _answer(name: str, n: int, needed: int | None) -> PlanLine:
    if needed is None:
        return PlanLine(name, n, None, _NEVER)
    return PlanLine(name, n, needed, "yes" if n >= needed else f"no: {needed - n:,} rows more, or a wider margin")


def _unknown(name: str, n: int | None, why: str) -> PlanLine:
    return PlanLine(name, n, None, f"not known before: {why}")
