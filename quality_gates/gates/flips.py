"""The flips gate: rows that the reference had right and the candidate has wrong, with an exact upper bound."""

from typing import Any, Literal

from quality_gates.evidence import Evidence
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown, at_most
from quality_gates.gates.planning import PlanLine, PlannedRows, answer
from quality_gates.policy import Confidence, MetricChoice, Name, OnInconclusive, Reference, Share, SliceCondition
from quality_gates.statistics import POWER, Standing, bounds_of_share, guessing_value, rows_for_share, share_bounds
from quality_gates.verdict import GateOutcome, GateResult


class Flips(GateKind):
    """At most a share of the rows may flip from right to wrong, shown by the exact upper bound of that share.

    Source of the measure, there called negative flip rate: Yan S and others. Positive-congruent training. CVPR 2021.
    """

    kind: Literal["flips"] = "flips"
    name: Name
    """The gate's own name."""
    against: Reference = "deployed"
    """The model that the candidate is compared with: the parent, the last release that passed, or the anchor."""
    at_most: Share
    """The largest share of all rows that may flip from right to wrong, such as 0.01."""
    confidence: Confidence
    """The one-sided confidence of the upper bound, such as 0.95."""
    slice: SliceCondition | None = None
    """The rows that are counted; all rows where it is left out."""
    on_inconclusive: OnInconclusive = "fail"
    """The consequence where the rows are too few to decide: fail, or a warning that does not block the release."""

    @classmethod
    def shown(cls) -> Shown:
        """Show the share; it must lie below the limit."""
        return Shown(allowed="below")

    @property
    def by_answers(self) -> bool:
        """True: it compares answers."""
        return True

    @property
    def demand(self) -> Demand:
        """A proof: few rows show nothing and do not pass."""
        return "proof"

    @property
    def heading(self) -> str:
        """The slice and the reference."""
        return f"Negative flips{f' where {self.slice}' if self.slice else ''} against the {self.against} model"

    @property
    def facts(self) -> dict[str, Any]:
        """Reference, slice, limit and confidence."""
        return {
            "against": self.against,
            "slice": str(self.slice) if self.slice else None,
            "metric": "negative_flips",
            "threshold": self.at_most,
            "confidence": self.confidence,
        }

    def plan(self, test: PlannedRows, /) -> PlanLine:
        """Count the rows on which a model that flips half of the discordant rows passes in 4 of 5 cases."""
        needed = rows_for_share(test.discordance / 2, self.at_most, self.confidence, POWER)
        return answer(self.name, test.count(self.slice), needed)

    def decide(self, evidence: Evidence) -> GateResult:
        """Pass when the upper bound of the share that flipped is within the limit."""
        alone = evidence.alone()
        alone.check_right_or_wrong("candidate", alone.index.mask(self.slice))
        laid = evidence.beside(self.against)
        if laid is None:
            return self.not_applicable()
        mask = laid.index.mask(self.slice)
        laid.check_right_or_wrong(self.against, mask)
        rows, groups = laid.rows[mask], laid.groups(mask)
        candidate, reference = rows["candidate_score"].to_numpy() == 1, rows["reference_score"].to_numpy() == 1
        bounds = bounds_of_share(reference & ~candidate, groups, self.confidence)
        lost, gained = int((reference & ~candidate).sum()), int((candidate & ~reference).sum())
        return self._counted(lost, gained, len(rows), bounds, None if groups is None else groups.count)

    def standing(self, evidence: Evidence, _: GateResult, /) -> Standing | None:
        """The accuracies of both models: where the reference is never right, no row can flip."""
        laid, choice = evidence.beside(self.against), MetricChoice(metric="accuracy", slice=self.slice)
        if laid is None:
            return None
        rows, alone = laid.rows[laid.index.mask(self.slice)], evidence.alone()
        mask = alone.index.mask(self.slice)
        guess = guessing_value(choice, alone.rows[mask], alone.alike(mask))
        ours, theirs = (float(rows[f"{side}_score"].mean()) for side in ("candidate", "reference"))
        return None if guess is None else Standing(choice.title, ours, theirs, guess)

    def _counted(self, lost: int, gained: int, n: int, bounds: tuple[float, float], groups: int | None) -> GateResult:
        lower, upper = bounds
        outcome = at_most(self.at_most, lower, upper)
        # Without a flip so far, count half a row: a share of exactly zero would promise too much.
        needed = rows_for_share(max(lost, 0.5) / n, self.at_most, self.confidence, POWER)
        return self.concluded(
            outcome,
            f"{self.heading}: {in_words.rows(lost)} of {in_words.count_in_groups(n, groups)} "
            f"flipped from right to wrong, {100 * lost / n:.2f} % "
            f"({in_words.percent(self.confidence)} upper bound {100 * upper:.2f} %); at most "
            f"{100 * self.at_most:g} % is allowed. {gained:,} flipped from wrong to right.",
            lambda: _more_groups(groups) if groups else self._remedy(lost, n, needed, outcome),
            estimate=lost / n,
            lower=lower,
            upper=upper,
            n=n,
            groups=groups,
            gained=gained,
            lost=lost,
            rows_needed=None if groups else needed,
        )

    def _remedy(self, lost: int, n: int, needed: int | None, outcome: GateOutcome) -> str:
        most = next((count for count in range(lost, -1, -1) if self._holds(count, n)), None)
        these = in_words.rows(n)
        winning = (
            f"{these} cannot pass even without a flip."
            if most is None
            else f"To pass on these {these}, win back {lost - most:,} of the {lost:,}: "
            f"{in_words.at_most(most)} may flip."
        )
        if outcome == "fail" or needed is None or needed <= n:
            return winning
        return f"{winning} About {in_words.rows(needed)} would decide at this share of flips."

    def _holds(self, count: int, n: int) -> bool:
        return share_bounds(count, n, self.confidence)[1] <= self.at_most


def _more_groups(groups: int) -> str:
    return f"Win flipped rows back, or measure on rows of more than these {groups:,} groups."
