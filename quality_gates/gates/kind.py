"""The base of all kinds of gates: what each kind must declare, and how their results are built."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, final

from quality_gates.errors import UnansweredError, UndecidedError, UnsettledError, reason_and_remedy
from quality_gates.evidence import Evidence
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.planning import PlanLine, PlannedRows
from quality_gates.policy import RELEASED, OnInconclusive, Setting
from quality_gates.statistics import Standing, UnseenTail
from quality_gates.verdict import GateOutcome, GateResult

AllowedSide: TypeAlias = Literal["above", "below"]
Demand: TypeAlias = Literal["proof", "no_finding", "nothing"]
"""The demand of a gate on answers: that they are shown to be good, that no fault of theirs is shown, or nothing at all,
because it is about something else."""


@dataclass(frozen=True)
class Shown:
    """The way in which reports show the results of one kind of gate.

    `difference` is set where estimate, bounds and threshold are the candidate's gain over a reference, so that they are
    drawn around zero; else they are levels. `allowed` is the side of the threshold on which a value may lie; None: it
    follows from the metric. `note` is a sentence that reports show with gates of this kind.
    """

    difference: bool = False
    allowed: AllowedSide | None = None
    note: str = ""


class GateKind(Setting, ABC):
    """One kind of gate: its keys in a recipe, and how it is decided, planned and shown.

    A subclass declares the keys `kind` and `name` and, if an inconclusive result may only warn, `on_inconclusive`. The
    type checker names what else it does not declare.
    """

    if TYPE_CHECKING:  # real fields here would come first in every kind, and a recipe's digest follows their order
        kind: str
        name: str

    decides_once: ClassVar[bool] = False
    """True for a kind that no snapshot or rung is chosen by: it needs the test rows, or is not about the candidate."""

    @classmethod
    @abstractmethod
    def shown(cls) -> Shown:
        """Return how reports show results of this kind."""

    @property
    @abstractmethod
    def by_answers(self) -> bool:
        """True where the gate looks at answers alone, so that a model in any form can be held against it."""

    @property
    @abstractmethod
    def demand(self) -> Demand:
        """The demand of the gate on answers before it passes."""

    @property
    def binds(self) -> bool:
        """True where no release can pass without a proof, not even the first one."""
        on_inconclusive: OnInconclusive = getattr(self, "on_inconclusive", "fail")
        waits = getattr(self, "against", None) in RELEASED
        return self.demand == "proof" and on_inconclusive == "fail" and not waits

    def at_confidence(self, confidence: float) -> Self:
        """Return the gate with a confidence of at least so much, where it must show something; else as it is."""
        own: float | None = getattr(self, "confidence", None)
        if self.demand != "proof" or own is None:
            return self
        return self.model_copy(update={"confidence": max(own, confidence)})

    @property
    @abstractmethod
    def heading(self) -> str:
        """The beginning of the gate's sentences: what it looks at."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """The fields of the result, beside name and kind, that are known before anything is measured."""

    @abstractmethod
    def plan(self, test: PlannedRows, /) -> PlanLine:
        """Tell how many test rows the gate needs; raises EvidenceError where it could never be decided on them."""

    @abstractmethod
    def decide(self, evidence: Evidence) -> GateResult:
        """Decide the gate; raises EvidenceError for evidence that is missing or damaged."""

    def standing(self, _: Evidence, _result: GateResult, /) -> Standing | None:
        """Return the candidate's own value of what the gate compares, beside guessing; None where there is none.

        It is asked of evidence that passed the gate.
        """
        return None

    @final
    def evaluate(self, evidence: Evidence) -> GateResult:
        """Return the decision; whatever stops it is a failed gate that says why, never an exception.

        Rows that leave the question open are inconclusive instead. So are answers that could not be taken on the
        device's CPU, and evidence that says nothing about the version, which is asked again; both block whatever the
        policy allows.
        """
        try:
            evidence.check_open()
            return self.decide(evidence)
        except Exception as error:  # a gate that cannot be decided must read as a failed gate, never as no gate
            reason, remedy = reason_and_remedy(error)
            sentence = f"{self.heading} could not be decided. {reason}"
            if isinstance(error, UndecidedError):
                return self.concluded("inconclusive", sentence, lambda: remedy)
            again = isinstance(error, UnsettledError)
            outcome: GateOutcome = "inconclusive" if again or isinstance(error, UnansweredError) else "fail"
            return self._result(outcome, blocking=True, sentence=sentence, remedy=remedy, asked_again=again)

    def concluded(self, outcome: GateOutcome, sentence: str, remedy: Callable[[], str], **figures: Any) -> GateResult:
        """Return the result of a decided gate: one that did not pass has a remedy, and blocks unless it only warns.

        `figures` are further fields of the result, and take the place of facts of the same name.
        """
        on_inconclusive: OnInconclusive = getattr(self, "on_inconclusive", "fail")
        return self._result(
            outcome,
            blocking=not (outcome == "inconclusive" and on_inconclusive == "warn"),
            sentence=sentence,
            remedy=None if outcome == "pass" else remedy(),
            **figures,
        )

    def unsettled(self, sentence: str, remedy: str, **figures: Any) -> GateResult:
        """Return the result of a gate whose figure says nothing about the version: inconclusive, and asked again."""
        return self._result(
            "inconclusive", blocking=True, sentence=sentence, remedy=remedy, asked_again=True, **figures
        )

    def not_applicable(self) -> GateResult:
        """Return the result of a gate that needs a release to compare with before there is one."""
        subject = in_words.amid(self.heading)
        missing = "anchor" if getattr(self, "against", None) == "anchor" else "deployed model"
        sentence = f"No {missing} yet: {subject} cannot be compared on a first deployment."
        return self._result("not_applicable", blocking=False, sentence=sentence)

    def _result(self, outcome: GateOutcome, **fields: Any) -> GateResult:
        return GateResult(name=self.name, kind=self.kind, outcome=outcome, **(self.facts | fields))


def at_least(threshold: float, lower: float, upper: float) -> GateOutcome:
    """Return pass where what is bounded is shown to be above a threshold, fail where below, else inconclusive."""
    if lower > threshold:
        return "pass"
    return "fail" if upper < threshold else "inconclusive"


def at_most(threshold: float, lower: float, upper: float) -> GateOutcome:
    """Return pass where what is bounded is shown to be at most a threshold, fail where above, else inconclusive."""
    if upper <= threshold:
        return "pass"
    return "fail" if lower > threshold else "inconclusive"


def with_tail(outcome: GateOutcome, tail: UnseenTail | None, largest: float | None) -> GateOutcome:
    """Return inconclusive in place of a pass where rows that none was like could break the bound of a mean error."""
    return "inconclusive" if outcome == "pass" and tail is not None and tail.hides(largest) else outcome
