"""The gate on floors: on a first release, every critical slice and class needs a limit of its own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from quality_gates.errors import EvidenceError
from quality_gates.evidence import Evidence, SliceIndex
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown
from quality_gates.gates.limit import Limit
from quality_gates.gates.planning import PlanLine, PlannedRows, not_of_rows
from quality_gates.policy import MetricChoice, Name, OnInconclusive, SliceCondition
from quality_gates.verdict import GateResult

Mask: TypeAlias = npt.NDArray[np.bool_]
NO_FLOORS = frozenset({"precision", "auroc"})
"""Metrics of a class that can be high although hardly any row of the class is found."""


class Floors(GateKind):
    """Critical slices and classes that no limit holds, on the first release of a device class.

    A gate against the deployed model says nothing before there is one, and one against the parent passes a parent that
    is as bad. So a first release is inconclusive where a critical slice has no limit of its own. The pipeline adds this
    gate for such slices; a recipe cannot leave it out, it can only accept a first release without a floor.
    """

    kind: Literal["floors"] = "floors"
    name: Name = "floors of critical slices"
    """The gate's own name."""
    slices: tuple[SliceCondition, ...] = Field(min_length=1)
    """The critical slices without a limit in the same words; a class is the slice of its right answers."""
    held: tuple[SliceCondition, ...] = ()
    """The slices that limits hold, which can be the same rows in other words."""
    on_inconclusive: OnInconclusive = "fail"
    """The consequence on a first release: fail, or a warning, which the recipe accepts."""

    decides_once: ClassVar[bool] = True

    @classmethod
    def shown(cls) -> Shown:
        """Show the mean score on the worst of the slices."""
        return Shown(allowed="above")

    @property
    def by_answers(self) -> bool:
        """False: it looks at the release that there is to compare with."""
        return False

    @property
    def demand(self) -> Demand:
        """Nothing of the answers themselves: a limit that is missing is missing for every model."""
        return "nothing"

    @property
    def heading(self) -> str:
        """The words themselves."""
        return "Floors of critical slices"

    @property
    def facts(self) -> dict[str, Any]:
        """The metric's name."""
        return {"metric": "accuracy"}

    def plan(self, test: PlannedRows, /) -> PlanLine:
        """Say that a first release cannot pass it, unless limits hold the same rows in other words."""
        bare = _not_held(self.slices, self.held, test.index)
        if not bare:
            return not_of_rows(self.name)
        accepted = " as the recipe accepts" if self.on_inconclusive == "warn" else ""
        return PlanLine(self.name, None, None, f"no: a first release has no limit where {_listed(bare)}{accepted}")

    def decide(self, evidence: Evidence) -> GateResult:
        """Pass where a release is there to compare with; a first one without a floor is inconclusive."""
        index, first = evidence.alone().index, evidence.deployed is None
        bare = _not_held(self.slices, self.held, index)
        masks = {condition: index.mask(condition) for condition in bare if first or _mask(index, condition) is not None}
        if masks:
            return self._bare(masks, evidence)
        said = f"no row of {_listed(self.slices)} is here that no limit holds"
        return self.concluded("pass", f"{self.heading}: {said}.", lambda: "")

    def _bare(self, masks: Mapping[SliceCondition, Mask], evidence: Evidence) -> GateResult:
        scores = evidence.alone().rows["candidate_score"]
        worst = min(masks, key=lambda condition: float(scores[masks[condition]].mean()))
        value, n = float(scores[masks[worst]].mean()), int(masks[worst].sum())
        is_share, first = evidence.candidate.right_or_wrong, evidence.deployed is None
        said = f"{in_words.metric_value(is_share, value)} where {worst}, on {in_words.rows(n)}"
        return self.concluded(
            "inconclusive" if first else "pass",
            f"{self.heading}: no limit says what is enough where {_listed(masks)}; the candidate has {said}"
            + (", and no release has passed here that it could be compared with." if first else "."),
            lambda: (
                "Add a `limit` on a metric with this `slice`, or on the recall `of` the class where it is the target; "
                "or accept a first release without by `first: accept`."
            ),
            slice=str(worst),
            candidate_value=value,
            n=n,
            unit="proportion" if is_share else "value",
        )


def critical_slices(
    gates: Iterable[GateKind], whole_tests: Iterable[SliceCondition] = ()
) -> tuple[SliceCondition, ...]:
    """Return the slices that gates compare or limit by themselves, each once, in the order of the gates.

    A class that a metric is `of` is the slice of the rows whose right answer it is. A limit counts where it blocks. Of
    a family, `whole_tests` are the rows of each task, which are critical no more than all rows of one model are.
    """
    found: dict[object, SliceCondition] = {}
    whole = {condition.meaning for condition in whole_tests}
    for gate in gates:
        compares = gate.demand == "proof" and getattr(gate, "against", None) is not None
        rows = _guarded(gate) if compares or gate.binds else None
        if rows is not None and rows.meaning not in whole:
            found.setdefault(rows.meaning, rows)
    return tuple(found.values())


def floors_of(gates: Iterable[GateKind]) -> tuple[SliceCondition, ...]:
    """Return the slices that a limit holds so that it blocks a model that is never right there."""
    limits = [gate for gate in gates if isinstance(gate, Limit) and gate.binds and gate.metric not in NO_FLOORS]
    return tuple(rows for limit in limits if (rows := _guarded(limit)) is not None)


def without_floor(
    gates: Sequence[GateKind], index: SliceIndex | None = None, whole_tests: Iterable[SliceCondition] = ()
) -> tuple[SliceCondition, ...]:
    """Return the critical slices that no limit holds: none in the same words, and none on the same rows of `index`.

    Rows tell that a label's column and the right answers name the same class; without an index only words count.
    `whole_tests` are as in critical_slices.
    """
    held = floors_of(gates)
    said = {condition.meaning for condition in held}
    bare = tuple(condition for condition in critical_slices(gates, whole_tests) if condition.meaning not in said)
    return bare if index is None else _not_held(bare, held, index)


def _guarded(gate: GateKind) -> SliceCondition | None:
    if isinstance(gate, Limit):
        return None if gate.metric is None else gate.choice.guarded
    if isinstance(gate, MetricChoice):
        return gate.guarded
    rows: SliceCondition | None = getattr(gate, "slice", None)
    return rows


def _not_held(
    slices: Iterable[SliceCondition], held: Iterable[SliceCondition], index: SliceIndex
) -> tuple[SliceCondition, ...]:
    """Return the slices whose rows are those of no slice that is held."""
    floors = [mask for condition in held if (mask := _mask(index, condition)) is not None]
    return tuple(condition for condition in slices if not _is_one_of(_mask(index, condition), floors))


def _is_one_of(mask: Mask | None, floors: Iterable[Mask]) -> bool:
    return mask is not None and any(np.array_equal(mask, floor) for floor in floors)


def _mask(index: SliceIndex, condition: SliceCondition) -> Mask | None:
    """Return the rows of a slice; None where it has none, or where the rows do not say which they are."""
    try:
        return index.mask(condition)
    except EvidenceError:
        return None


def _listed(slices: Iterable[SliceCondition]) -> str:
    return "; ".join(map(str, slices))
