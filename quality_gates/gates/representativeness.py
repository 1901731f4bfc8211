"""The representativeness gate: the comparisons of trained and calibrated rows with the deployment sites hold."""

from typing import Any, ClassVar, Literal

from quality_gates.errors import EvidenceError
from quality_gates.evidence import Evidence
from quality_gates.gates.kind import Demand, GateKind, Shown
from quality_gates.gates.planning import PlanLine, PlannedRows, not_of_rows
from quality_gates.policy import Name, OnInconclusive
from quality_gates.verdict import GateOutcome, GateResult

_OUTCOMES = {"alike", "differs", "undecided"}


class Representative(GateKind):
    """The rows that the candidate was trained and calibrated with are like those of the deployment sites.

    The recipe's `representativeness` says what is compared and how much may differ; the gate holds the result.
    """

    kind: Literal["representativeness"] = "representativeness"
    name: Name
    """The gate's own name."""
    on_inconclusive: OnInconclusive = "fail"
    """The consequence where the rows are too few to decide: fail, or a warning that does not block the release."""

    decides_once: ClassVar[bool] = True

    @classmethod
    def shown(cls) -> Shown:
        """Show the sentence alone: it has no figure."""
        return Shown()

    @property
    def by_answers(self) -> bool:
        """False: it is not about the candidate."""
        return False

    @property
    def demand(self) -> Demand:
        """Nothing: a model that is never right passes too."""
        return "nothing"

    @property
    def heading(self) -> str:
        """The word itself."""
        return "Representativeness"

    @property
    def facts(self) -> dict[str, Any]:
        """The metric's name."""
        return {"metric": "representativeness"}

    def plan(self, _: PlannedRows, /) -> PlanLine:
        """Need no test rows."""
        return not_of_rows(self.name)

    def decide(self, evidence: Evidence) -> GateResult:
        """Fail where a comparison differs; inconclusive where rows are too few to show it."""
        seen = evidence.representativeness
        if seen is None or not seen.comparisons:
            raise EvidenceError(
                "The rows were compared with none of the deployment sites.",
                "Give the workload a sample of the sites, or remove the gate.",
            )
        odd = sorted({comparison.outcome for comparison in seen.comparisons} - _OUTCOMES)
        if odd:
            raise EvidenceError(f"A comparison ended as {odd[0]!r}.", "Compare again.")
        differs = tuple(comparison.sentence for comparison in seen.comparisons if comparison.outcome == "differs")
        undecided = sum(comparison.outcome == "undecided" for comparison in seen.comparisons)
        outcome: GateOutcome = "fail" if differs else "inconclusive" if undecided else "pass"
        open_ones = f", {undecided} are undecided because of too few rows" if undecided else ""
        return self.concluded(
            outcome,
            f"{len(differs)} of {len(seen.comparisons)} comparisons with the deployment sites differ"
            f"{open_ones}. {' '.join(differs[:1])}".strip(),
            lambda: "Train and calibrate on rows of the sites that differ.",
            findings=differs,
        )
