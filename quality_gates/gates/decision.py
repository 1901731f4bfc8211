"""The decision: a policy and the evidence in, a verdict out. Pure: no clock, no files, no environment."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, TypeAlias

import pandas as pd
from pydantic import Field, field_validator

from quality_gates.errors import EvidenceError, PolicyError, UndecidedError
from quality_gates.evidence import Evidence, KnownClasses, SliceIndex
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.added import Floors, ProvenInstructionSet
from quality_gates.gates.flips import Flips
from quality_gates.gates.found_slices import FoundSlices
from quality_gates.gates.kind import GateKind, Shown
from quality_gates.gates.limit import Limit
from quality_gates.gates.non_inferiority import NonInferiority
from quality_gates.gates.parity import Parity
from quality_gates.gates.planning import PlanLine, PlannedRows
from quality_gates.gates.plausibility import Plausibility
from quality_gates.gates.probability_calibration import Calibration
from quality_gates.gates.representativeness import Representative
from quality_gates.policy import RELEASED, MetricChoice, Setting, SliceCondition
from quality_gates.statistics import Standing, check_classes
from quality_gates.verdict import GateResult, Verdict

Gate: TypeAlias = Annotated[
    NonInferiority | Limit | Flips | Parity | Calibration | Plausibility | Representative | FoundSlices,
    Field(discriminator="kind"),
]


def of_rows(gate: Gate, rows: SliceCondition, name: str) -> Gate:
    """Return a gate on those of its rows that are in a slice too, under another name; it must have the key `slice`."""
    own: SliceCondition | None = getattr(gate, "slice", None)
    parts = (rows,) if own is None else (rows, *(own.all or (own,)))
    return gate.model_copy(update={"slice": rows if own is None else SliceCondition(all=parts), "name": name})


AnyGate: TypeAlias = Annotated[Gate | ProvenInstructionSet | Floors, Field(discriminator="kind")]
ADDED = (ProvenInstructionSet, Floors)
"""The kinds that the pipeline adds by itself: no recipe has them."""


def _by_name(*kinds: type[GateKind]) -> Mapping[str, type[GateKind]]:
    return {str(kind.model_fields["kind"].default): kind for kind in kinds}


KINDS = _by_name(NonInferiority, Limit, Flips, Parity, Calibration, Plausibility, Representative, FoundSlices)
"""All kinds of gates by the name that recipes and verdicts have for them."""


class GatePolicy(Setting):
    """All the gates of a release. Every one of them must pass."""

    gates: tuple[AnyGate, ...] = Field(min_length=1)
    """The gates, each with a name of its own."""

    @field_validator("gates")
    @classmethod
    def _names_are_unique(cls, gates: tuple[GateKind, ...]) -> tuple[GateKind, ...]:
        twice = [name for name, count in Counter(gate.name for gate in gates).items() if count > 1]
        if twice:
            raise PolicyError(f"Every gate needs a name of its own; {', '.join(twice)} is used twice. Rename one.")
        return gates


def decide(policy: GatePolicy, evidence: Evidence) -> Verdict:
    """Evaluate every gate; the candidate passes only when all of them do.

    Never raises on damaged evidence: that is a failed gate that says why. Since all gates must pass, the chance that a
    candidate which breaks at least one of them passes all is no larger than one gate's own, however many there are, so
    no correction for multiplicity is due (intersection-union test: Berger RL. Multiparameter hypothesis testing and
    acceptance sampling. Technometrics 1982;24:295-300).
    """
    results = tuple(_beside_its_floor(policy, gate, gate.evaluate(evidence), evidence) for gate in policy.gates)
    return Verdict.of(results, file=evidence.candidate.file_sha256)


def _beside_its_floor(policy: GatePolicy, gate: GateKind, result: GateResult, evidence: Evidence) -> GateResult:
    """Add the floor of the same metric, and say so where a gate holds although the candidate only guesses."""
    floor = _floor(policy, gate)
    standing = gate.standing(evidence, result) if result.outcome == "pass" else None
    if standing is None or not standing.is_worthless:
        return result if floor is None else result.model_copy(update={"floor": floor})
    sentence = f"{result.sentence} {_worthless(standing, result.against, floor)}"
    return result.model_copy(update={"floor": floor, "worthless": True, "sentence": sentence})


def _floor(policy: GatePolicy, gate: GateKind) -> float | None:
    """Return the smallest value that a limit asks of the metric that another gate compares, on the same rows."""
    limits = (each for each in policy.gates if isinstance(each, Limit) and each is not gate and each.metric is not None)
    floors = [each.at_least for each in limits if _compared(each) == _compared(gate)]
    return max((floor for floor in floors if floor is not None), default=None)


def _compared(gate: GateKind) -> tuple[object, ...]:
    """Return the metric and the rows that a gate is about, the same for a slice in other words."""
    rows: SliceCondition | None = getattr(gate, "slice", None)
    meaning = None if rows is None else rows.meaning
    return getattr(gate, "metric", "accuracy"), getattr(gate, "of", None), meaning


def _worthless(standing: Standing, against: str | None, floor: float | None) -> str:
    ours, guess = (in_words.metric_value(standing.proportion, value) for value in (standing.value, standing.guess))
    theirs = "" if standing.reference is None else in_words.metric_value(standing.proportion, standing.reference)
    beside = f", that of the {against} model {theirs}" if theirs else ""
    asked = "no gate sets a floor" if floor is None else f"the floor is {in_words.metric_value(True, floor)}"
    title = in_words.amid(standing.title)
    return f"It holds at a worthless value: {title} {ours}{beside}. Guessing reaches {guess}, and {asked}."


def plan(
    policy: GatePolicy,
    rows: pd.DataFrame,
    discordance: float,
    classes: KnownClasses | None = None,
    group: str | None = None,
) -> Iterator[PlanLine]:
    """Yield a line per gate: rows that pass it in 4 of 5 cases if the models are equal but differ on some rows.

    `rows` are the test rows' slice columns, and `target` where it is known. `discordance` is the share of rows, in each
    class, on which exactly one of the two models is right; half of them flip the one way, half the other. `classes` are
    those that other splits name; `group` is the column whose values mark rows that belong together.
    """
    test = PlannedRows(rows, SliceIndex(rows), discordance, classes or KnownClasses(), group)
    for gate in policy.gates:
        try:
            yield test.in_groups(gate.plan(test), getattr(gate, "slice", None))
        except EvidenceError as error:
            yield PlanLine(gate.name, 0, None, f"no: {error.reason}")


def check_slices(policy: GatePolicy, rows: pd.DataFrame, split: str = "test") -> None:
    """Raise PolicyError, before anything is trained, when a gate's slice finds no row in a split.

    `rows` needs the slice columns only.
    """
    index = SliceIndex(rows, split)
    for gate in policy.gates:
        try:
            index.mask(getattr(gate, "slice", None))
        except EvidenceError as error:
            raise PolicyError(f"Gate {gate.name!r}: {error}") from error


def check_shows(gates: Sequence[GateKind]) -> None:
    """Raise PolicyError for gates that all pass whatever a model answers."""
    if all(gate.demand == "nothing" for gate in gates):
        raise PolicyError(
            "key `gates`: expected at least one gate on how good the answers are, got only "
            f"{', '.join(dict.fromkeys(gate.kind for gate in gates))} gates, which a model that is never right passes "
            "too; add a non_inferiority gate, or another one that compares answers"
        )


def unproven(gates: Sequence[GateKind]) -> str | None:
    """Return why gates let a first release pass although nothing is shown about its answers; None where they do not."""
    if any(gate.binds for gate in gates):
        return None
    why: dict[str, list[str]] = {}
    for gate in gates:
        if gate.demand == "no_finding":
            why.setdefault("passes unless a fault is shown", []).append(gate.name)
        elif gate.demand == "proof" and getattr(gate, "against", None) in RELEASED:
            why.setdefault("waits for a deployed model", []).append(gate.name)
        elif gate.demand == "proof":
            why.setdefault("only warns", []).append(gate.name)
    said = "; ".join(f"{reason}: {', '.join(map(repr, names))}" for reason, names in why.items())
    return (
        "expected a gate that a first release passes only where its answers are shown to be good, got none "
        f"({said}); add one against the parent, or a limit on a metric, that fails where it is inconclusive"
    )


def unseen_classes(policy: GatePolicy, rows: pd.DataFrame, classes: KnownClasses) -> Iterator[str]:
    """Yield a sentence for each gate whose metric is also about a class that no row is of, before anything is trained.

    `rows` are a split's slice columns and `target`; without it, or without a row in a slice, nothing is said.
    """
    index = SliceIndex(rows)
    for gate in policy.gates:
        choice = gate.choice if isinstance(gate, Limit) and gate.metric else gate
        if not (isinstance(choice, MetricChoice) and choice.is_of_classes and "target" in rows.columns):
            continue
        try:
            check_classes(choice, rows["target"][index.mask(choice.slice)], classes.on(choice.slice))
        except UndecidedError as error:
            yield f"gate {gate.name!r} will be inconclusive: {error}"
        except EvidenceError:
            continue


def shown_of(kind: str) -> Shown:
    """Return how results of a kind are shown; a stored verdict may have a kind that is no longer known."""
    known = {**KINDS, **_by_name(*ADDED)}.get(kind)
    return known.shown() if known else Shown()
