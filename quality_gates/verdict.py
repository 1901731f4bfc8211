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
GRANT = "edgewright looks grant"


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
    """One look of some gates at a test split, and the share of false passes that all their looks there may spend.

    `number` counts the versions, devices and recipes that these gates have decided on with these rows, this one
    included; None where it was withheld, so that no row was read. `taken` is how many there are in all, `elsewhere`
    those of them at another split of largely the same rows, and `in_all` counts those of any gates. `allowed` is how
    many there may be, `granted` of them by a named person beyond the recipe; None where nothing limits them.

    `level` is the share of false passes that this look may spend, `spent` that of all of them, and `total` the largest
    that is allowed, grants included. `kept` is a smaller total than the recipe's, under which earlier looks were taken.
    `near` is the largest share of these rows that splits of further looks have, which do not count.
    """

    number: int | None = Field(default=None, ge=1)
    taken: int = Field(default=0, ge=0)
    elsewhere: int = 0
    in_all: int = Field(ge=0)
    allowed: int | None = None
    granted: int = 0
    level: float | None = None
    spent: float = 0.0
    total: float | None = None
    kept: float | None = None
    near: float = 0.0

    @property
    def is_withheld(self) -> bool:
        """True where the rows are worn: others took all looks that are allowed."""
        return self.number is None

    @property
    def short(self) -> str:
        """The number, the looks allowed and the level, in a few words."""
        if self.number is None:
            return "no look"
        if self.allowed is None or self.level is None:
            return f"look {self.number:,}"
        return f"look {self.number:,} of {self.allowed:,}, each at {_percent(self.level)}"

    @property
    def sentence(self) -> str:
        """The wear of the test rows in words."""
        return " ".join([self._count(), *self.warnings, *self._others()])

    @property
    def reason(self) -> str:
        """The reason why a look is withheld."""
        level, total, left = self.level or 0.0, self.total or 0.0, (self.total or 0.0) - self.spent
        if left > total * 1e-6:
            return (
                f"One more look of these gates at the test rows may pass falsely in {_percent(level)} of cases, and "
                f"only {_percent(left)} of {_percent(total)} in all are left."
            )
        noun = f"All {self.taken:,} looks" if self.taken > 1 else "The one look"
        are = "are" if self.taken > 1 else "is"
        return f"{noun} of these gates at the test rows {are} taken, and another one would show nothing."

    @property
    def remedy(self) -> str:
        """The ways on where a look is withheld."""
        return f"Give the workload new test rows, or let a named person decide to go on, with {GRANT}."

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that a reader must know before believing the number."""
        found = []
        if self.kept is not None:
            found.append(
                f"Looks of these gates were taken under a total of {_percent(self.kept)}, which stays, whatever the "
                "recipe says now."
            )
        if self.elsewhere:
            looks = "1 of the looks was" if self.elsewhere == 1 else f"{self.elsewhere:,} of the looks were"
            found.append(f"{looks} at another test split, which has more than half of these rows.")
        if self.near:
            found.append(
                f"About {_percent(round(self.near, 2))} of these rows were looked at as part of another test split; "
                "those looks do not count."
            )
        return tuple(found)

    def _count(self) -> str:
        spent = f"{_percent(self.spent)} of {_percent(self.total or 0.0)} in all are spent."
        if self.number is None:
            return f"No look was taken at the test rows: {self.taken:,} of {self.allowed or 0:,} are taken, and {spent}"
        if self.allowed is None or self.level is None:
            return f"Look {self.number:,} of these gates at the test rows; no number of looks is set."
        granted = f", {self.granted:,} of them granted beyond the recipe," if self.granted else ""
        return (
            f"Look {self.number:,} of {self.allowed:,}{granted} at the test rows. It may pass falsely in "
            f"{_percent(self.level)} of cases; {spent}"
        )

    def _others(self) -> list[str]:
        others = self.in_all - self.taken
        return [f"Other gates took {others:,} more at these rows."] if others > 0 else []


def _percent(share: float) -> str:
    """Return a share of cases or rows in percent."""
    return f"{100 * share:.4g} %"


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
        if self.look is not None and self.look.is_withheld and not self.passed:
            return f"Inconclusive: no test row was read. {self.look.reason} {self.look.remedy}"
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
