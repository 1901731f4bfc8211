"""The policy of the comparison with the deployment sites, and the record of what it found."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from quality_gates.policy import Confidence, Setting

What: TypeAlias = Literal["label prior", "slice shares", "presence", "predictions", "outputs"]
ComparisonOutcome: TypeAlias = Literal["alike", "differs", "undecided"]
Effect: TypeAlias = Annotated[float, Field(strict=True, gt=0, lt=1)]


class RepresentativenessPolicy(Setting):
    """The largest effects that are allowed, each between 0 (the same distribution) and 1 (nothing in common).

    A set of rows differs where an effect is larger than allowed and shown for all tests together (Holm).
    """

    label_prior: Effect
    """Cramer's V of the shares of the labels."""
    slice_shares: Effect
    """Cramer's V of the shares of a slice column's values."""
    predictions: Effect
    """Cramer's V of the shares of the parent's answers."""
    outputs: Effect
    """Kolmogorov-Smirnov's D of the parent's outputs."""
    confidence: Confidence
    """The confidence, for all tests together, at which a larger effect must be shown."""
    on_mismatch: Literal["warn", "fail"]
    """The consequence of a difference: fail stops before anything is trained, warn goes to the log and the reports."""


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
    outcome: ComparisonOutcome
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
        """The number of differences that the rows are too few to show."""
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
