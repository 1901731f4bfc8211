"""The verdict: the decision gate by gate, in figures for a machine and sentences for a release owner."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

GateOutcome: TypeAlias = Literal["pass", "fail", "inconclusive", "not_applicable"]
Decided: TypeAlias = Literal["pass", "fail", "inconclusive"]
VerdictOutcome: TypeAlias = Literal["pass", "fail", "inconclusive", "overridden"]
_SEVERITY: tuple[GateOutcome, ...] = ("fail", "inconclusive", "pass", "not_applicable")
Words: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GateResult(_Record):
    """One gate's outcome. Proportions are in [-1, 1], resources in the unit that the metric's name ends in.

    `unit` says what estimate, bounds and threshold are: proportions, or values of the metric's own, such as an error.
    Differences are the candidate's gain: positive is better, whatever the metric. `rows_needed` is how many rows of the
    slice would decide in 4 of 5 cases; `findings` are the sentences behind a gate that looked at several things.
    `groups` counts the groups that the `n` rows are of, where the workload names some: they are the units of bounds.

    `blocking` is false for what may not stop the release: a gate that does not apply yet, or an inconclusive one that
    the policy only warns about. `asked_again` is true where what stopped the gate says nothing about the version: an
    interrupted measurement, or a machine too busy to compare. `threshold` is -margin for non-inferiority and the limit
    for a resource; `candidate_value` and `reference_value` are the two accuracies, or the candidate's resource figure.

    `worthless` is true of a gate that holds although the candidate's own value is no better than guessing; `floor` is
    the smallest value that a limit of the policy asks of the same metric on the same rows, None where none does.
    """

    name: str
    kind: str
    outcome: GateOutcome
    blocking: bool
    against: str | None = None
    slice: str | None = None
    metric: str
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    threshold: float | None = None
    margin: float | None = None
    confidence: float | None = None
    n: int | None = None
    groups: int | None = None
    gained: int | None = None
    lost: int | None = None
    candidate_value: float | None = None
    reference_value: float | None = None
    unit: Literal["proportion", "value"] = "proportion"
    rows_needed: int | None = None
    findings: tuple[str, ...] = ()
    sentence: str
    remedy: str | None = None
    asked_again: bool = False
    worthless: bool = False
    floor: float | None = None


class Approval(_Record):
    """A person who answers for a release against its gates, why, and until when; bound to one verdict and one file."""

    name: Words
    reason: Words
    given: date
    until: date
    run_key: str
    file_sha256: str
    verdict_sha256: str


class Look(_Record):
    """One look of some gates at a test split.

    `number` counts the versions, devices and recipes that these gates have decided on with these rows, this one
    included; `in_all` those of any gates. `allowed` is how many may be decided, `granted` of them by a named person
    beyond the recipe, and `level` the share of false passes that each may spend; None where the recipe spends nothing.
    """

    number: int = Field(ge=1)
    in_all: int = Field(ge=1)
    allowed: int | None = None
    granted: int = 0
    level: float | None = None

    @property
    def is_too_many(self) -> bool:
        """True where the rows are worn: all looks that are allowed were taken by others."""
        return self.allowed is not None and self.number > self.allowed

    @property
    def short(self) -> str:
        """The number, the looks allowed and the level, in a few words."""
        if self.allowed is None or self.level is None:
            return f"look {self.number:,}"
        return f"look {self.number:,} of {self.allowed:,}, each at {100 * self.level:g} %"

    @property
    def sentence(self) -> str:
        """The wear of the test rows in words."""
        others = self.in_all - self.number
        beside = f" Gates of other recipes took {others:,} more." if others > 0 else ""
        if self.allowed is None or self.level is None:
            return f"Look {self.number:,} of these gates at the test rows; no number of looks is set.{beside}"
        granted = f", {self.granted:,} of them granted beyond the recipe," if self.granted else ""
        return (
            f"Look {self.number:,} of {self.allowed:,}{granted} at the test rows; each may pass falsely in "
            f"{100 * self.level:g} % of cases.{beside}"
        )


class Verdict(_Record):
    """All gates and what follows from them. It cannot be built with an outcome that its gates do not give.

    An approval of exactly these gates makes it `overridden`; quality_gates.approval says what may be approved.
    `file_sha256` names the file that was measured: nothing else may be registered or published with this verdict.
    `look` says how often the test rows have been decided on, and at which level.
    """

    outcome: VerdictOutcome
    gates: tuple[GateResult, ...] = Field(min_length=1)
    approval: Approval | None = None
    file_sha256: str | None = None
    look: Look | None = None

    @classmethod
    def of(
        cls, gates: tuple[GateResult, ...], approval: Approval | None = None, file: str | None = None,
        look: Look | None = None,
    ) -> Self:  # fmt: skip
        """Build the verdict that follows from the gates, and from an approval if there is one; `file` was measured."""
        outcome = "overridden" if approval else overall(gates)
        return cls(outcome=outcome, gates=gates, approval=approval, file_sha256=file, look=look)

    @property
    def unapproved(self) -> Self:
        """The verdict that the gates give alone."""
        return self.of(self.gates, None, self.file_sha256, self.look)

    def at(self, look: Look) -> Self:
        """Return the verdict with the look at the test rows that it was given by."""
        return self.of(self.gates, self.approval, self.file_sha256, look)

    @model_validator(mode="after")
    def _outcome_follows_from_gates(self) -> Self:
        follows = "overridden" if self.approval else self.decided
        if self.outcome != follows:
            raise ValueError(f"The gates give {follows!r}, not {self.outcome!r}. Decide again.")
        if self.approval is not None and self.decided == "pass":
            raise ValueError("The gates give 'pass', which needs no approval. Leave it out.")
        if self.approval is not None and self.approval.verdict_sha256 != self.sha256:
            raise ValueError("The approval is of another verdict. Decide again, or approve this one.")
        return self

    @property
    def decided(self) -> Decided:
        """The outcome that the gates alone give."""
        return overall(self.gates)

    @property
    def sha256(self) -> str:
        """Digest of what the gates decided, whether it was approved or not; fields that are not set do not count."""
        gates = (gate.model_dump(mode="json", exclude_defaults=True) for gate in self.gates)
        content = [self.decided, *([] if self.file_sha256 is None else [self.file_sha256]), *gates]
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def passed(self) -> bool:
        """True where every gate lets the candidate through."""
        return self.outcome == "pass"

    @property
    def releases(self) -> bool:
        """True where the candidate may be published: it passed, or a person answers for it."""
        return self.outcome in ("pass", "overridden")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return the sentences of what stands in the way, the worst first; empty exactly when the verdict passed."""
        if self.passed:
            return ()
        sentences = tuple(gate.sentence for gate in self.blocking)
        return sentences or ("No gate passed, so nothing was shown about the candidate.",)

    @property
    def blocking(self) -> tuple[GateResult, ...]:
        """The gates that stand in the way, the worst first."""
        return worst_first(gate for gate in self.gates if _blocks(gate))

    @property
    def undecided_by_noise(self) -> bool:
        """True where all that stands in the way says nothing about the version, so that it is no answer."""
        return not self.passed and bool(self.blocking) and all(gate.asked_again for gate in self.blocking)

    @property
    def headline(self) -> str:
        """Return the verdict in one line."""
        names = [gate.name for gate in self.blocking]
        count = f"{len(names)} of {len(self.gates)} gates"
        if self.approval is not None:
            answers = f"{self.approval.name} answers for it until {self.approval.until}"
            return f"Overridden: {count} did not pass ({', '.join(names)}); {answers}."
        if names:
            return f"{self.outcome.capitalize()}: {count} did not pass ({', '.join(names)})."
        if not self.passed:
            return "Inconclusive: no gate passed, so nothing was shown."
        return f"Pass: {self._tally()}."

    def _tally(self) -> str:
        outcomes = Counter(gate.outcome for gate in self.gates)
        held, waiting, warned = outcomes["pass"], outcomes["not_applicable"], outcomes["inconclusive"]
        worthless = sum(gate.worthless for gate in self.gates)
        parts = [f"{held} of {len(self.gates)} gates hold"]
        parts += [f"{worthless} of them at a worthless value"] if worthless else []
        parts += [f"{waiting} not applicable yet"] if waiting else []
        parts += [f"{warned} inconclusive, with a warning only"] if warned else []
        parts += [self.look.short] if self.look and self.look.allowed else []
        return ", ".join(parts)


def overall(gates: tuple[GateResult, ...]) -> Decided:
    """Return fail if any gate fails, else inconclusive if any blocks or none passed, else pass."""
    if any(gate.outcome == "fail" and gate.blocking for gate in gates):
        return "fail"
    if any(_blocks(gate) for gate in gates) or not any(gate.outcome == "pass" for gate in gates):
        return "inconclusive"
    return "pass"


def worst_first(gates: Iterable[GateResult]) -> tuple[GateResult, ...]:
    """Return gates in the order in which people see them: failed, undecided, held, not applicable; else as given."""
    return tuple(sorted(gates, key=lambda gate: _SEVERITY.index(gate.outcome)))


def _blocks(gate: GateResult) -> bool:
    return gate.blocking and gate.outcome != "pass"
