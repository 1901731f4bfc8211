"""The plausibility gate: a gain over the parent that is too good to be true stops the line."""

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from quality_gates.evidence import Evidence
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown
from quality_gates.gates.planning import ONLY_SHOWN, PlanLine, PlannedRows
from quality_gates.policy import Confidence, MetricChoice, Name, below_one_for_proportions
from quality_gates.statistics import compare
from quality_gates.verdict import GateResult

_REMEDY = (
    "Look for test rows among the training rows, and for a split or a label that changed; if the gain is real, state a "
    "larger plausible one."
)


class Plausibility(MetricChoice, GateKind):
    """A gain over the parent that is shown to be larger than plausible stops the line: a leak is more likely."""

    kind: Literal["plausibility"] = "plausibility"
    name: Name
    """The gate's own name."""
    gain_at_most: float = Field(strict=True, ge=0)
    """The largest gain over the parent that is plausible, in the metric's unit."""
    confidence: Confidence
    """The one-sided confidence of the lower bound, such as 0.95."""

    @field_validator("gain_at_most")
    @classmethod
    def _gain_fits(cls, gain: float, info: ValidationInfo) -> float:
        return below_one_for_proportions(info.data.get("metric"), gain)

    @classmethod
    def shown(cls) -> Shown:
        """Show the gain; it must lie below what is plausible."""
        note = "A plausibility gate asks the other way round: it fails only when its whole bar lies outside."
        return Shown(difference=True, allowed="below", note=note)

    @property
    def by_answers(self) -> bool:
        """True: it compares answers."""
        return True

    @property
    def demand(self) -> Demand:
        """That no fault is shown: few rows show none."""
        return "no_finding"

    @property
    def heading(self) -> str:
        """The metric that gained."""
        return f"Gain of {in_words.amid(self.described)} over the parent model"

    @property
    def facts(self) -> dict[str, Any]:
        """Metric, slice, limit and confidence."""
        return {
            "against": "parent",
            "slice": str(self.slice) if self.slice else None,
            "metric": self.metric,
            "unit": "proportion" if self.is_proportion else "value",
            "threshold": self.gain_at_most,
            "confidence": self.confidence,
        }

    def plan(self, test: PlannedRows, /) -> PlanLine:
        """Need no number of rows to pass."""
        return PlanLine(self.name, test.foresee(self).rows, None, ONLY_SHOWN.format("gain"))

    def decide(self, evidence: Evidence) -> GateResult:
        """Fail when the lower bound of the gain is larger than plausible."""
        seen = compare(self, evidence.beside_parent(), "parent", -self.gain_at_most, self.confidence, evidence)
        plausible = not seen.lower > self.gain_at_most
        write = in_words.differences(self.is_proportion, self.gain_at_most, seen.lower)
        return self.concluded(
            "pass" if plausible else "fail",
            f"{self.heading}: {write.signed(seen.gain, unit=True)} ({in_words.percent(self.confidence)} lower "
            f"bound {write.signed(seen.lower)}) on {in_words.rows_in_groups(seen.n, seen.groups)}; "
            + (
                f"not shown to be more than the plausible {write.amount(self.gain_at_most)}."
                if plausible
                else f"more than the plausible {write.amount(self.gain_at_most)}: a leak is more likely."
            ),
            lambda: _REMEDY,
            **seen.figures,
        )
