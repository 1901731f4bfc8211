"""Which gates the data can decide at all, said before anything is trained."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quality_gates import tango
from quality_gates.comparison import POWER
from quality_gates.errors import EvidenceError
from quality_gates.planning import rows_for_share
from quality_gates.policy import Flips, Gate, GatePolicy, NonInferiority
from quality_gates.slices import SliceIndex


@dataclass(frozen=True)
class PlanLine:
    """One gate: its rows in test, the rows it needs, and what follows. None where it is not about numbers of rows."""

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

    `rows` are the test rows' slice columns, and `target` where it is known. `discordance` is the share of rows on which
    exactly one of the two models is right; half of them flip the one way, half the other. For F1, AUROC and the like
    the figure is accuracy's on the same rows: they need at least about as many.
    """
    index = SliceIndex(rows)
    for gate in policy.gates:
        try:
            yield _line(gate, rows, index, discordance)
        except EvidenceError as error:
            yield PlanLine(gate.name, 0, None, f"no: {error.reason}")


def _line(gate: Gate, rows: pd.DataFrame, index: SliceIndex, discordance: float) -> PlanLine:
    if isinstance(gate, NonInferiority) and gate.is_proportion:
        n = _rows_of(gate, rows, index)
        return _answer(gate.name, n, tango.rows_needed(discordance, gate.margin, gate.confidence, POWER))
    if isinstance(gate, Flips):
        n = int(index.mask(gate.slice).sum())
        return _answer(gate.name, n, rows_for_share(discordance / 2, gate.at_most, gate.confidence, POWER))
    if getattr(gate, "resource", None) == "energy_mj":
        return PlanLine(gate.name, None, None, "no: nothing here reads a power sensor")
    condition = getattr(gate, "slice", None)
    seen = int(index.mask(condition).sum()) if condition is not None else None
    return PlanLine(gate.name, seen, None, "not a matter of rows" if seen is None else "depends on the spread")


def _rows_of(gate: NonInferiority, rows: pd.DataFrame, index: SliceIndex) -> int:
    mask = index.mask(gate.slice)
    if gate.metric == "recall" and "target" in rows.columns:
        mask = mask & np.array([value == gate.of for value in rows["target"]], dtype=bool)
        if not mask.any():
            raise EvidenceError(f"No row is truly of class {gate.of!r}.", "Correct `of` in the policy.")
    return int(mask.sum())


def _answer(name: str, n: int, needed: int | None) -> PlanLine:
    if needed is None:
        return PlanLine(name, n, None, "no: no number of rows shows it between equal models")
    return PlanLine(name, n, needed, "yes" if n >= needed else f"no: {needed - n:,} rows more, or a wider margin")
