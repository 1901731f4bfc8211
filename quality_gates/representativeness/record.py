"""What the comparison found, row by row, in figures and in sentences."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

What: TypeAlias = Literal["label prior", "slice shares", "presence", "predictions", "outputs"]
Outcome: TypeAlias = Literal["alike", "differs", "undecided"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Comparison(_Record):
    """One set held against the deployment sample, on all rows or on one slice.

    `p` is adjusted for the number of tests; None says that there were too few rows for one. `held_out` is the effect
    between the validation rows, which no model was trained on, and the sample: what a shift of the sites alone makes.
    A difference is `undecided` where the effect is larger than allowed and the rows are too few to show it.
    """

    set: str
    slice: str | None
    what: What
    n: int
    n_deployment: int
    statistic: float | None = None
    p: float | None = None
    effect: float | None = None
    allowed: float
    held_out: float | None = None
    outcome: Outcome
    sentence: str = ""


class Representativeness(_Record):
    """All comparisons and what follows from them; `notes` say what could not be compared at all."""

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()
    confidence: float
    on_mismatch: Literal["warn", "fail"]

    @property
    def findings(self) -> tuple[Comparison, ...]:
        """The comparisons that differ: those of all rows before those of slices, then the largest excess first."""
        differ = [row for row in self.comparisons if row.outcome == "differs"]
        return tuple(sorted(differ, key=lambda row: (row.slice is not None, row.allowed - (row.effect or 0))))

    @property
    def undecided(self) -> int:
        """How many differences the rows are too few to show."""
        return sum(comparison.outcome == "undecided" for comparison in self.comparisons)

    @property
    def headline(self) -> str:
        """The result in one line."""
        total, findings = len(self.comparisons), self.findings
        sets = " and ".join(dict.fromkeys(comparison.set for comparison in self.comparisons))
        unsure = f", {self.undecided} undecided for want of rows" if self.undecided else ""
        if findings:
            return f"{len(findings)} of {total} comparisons with the deployment sites differ{unsure}."
        return f"No difference of {sets} from the deployment sites was shown in {total} comparisons{unsure}."
