"""The instruction set gate: answers that were taken on the device's own instruction set."""

from typing import Any, ClassVar, Literal

from quality_gates.evidence import Evidence
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown
from quality_gates.gates.planning import PlanLine, PlannedRows, not_of_rows
from quality_gates.policy import Name, OnInconclusive
from quality_gates.verdict import GateResult

_PROOF = "Give the device profile `answers` of kind emulated, or compress on a machine of that class"
_ACCEPTANCE = "; or set `accept_unproven_instruction_set: true` in the recipe, and the release is shown in amber"


class ProvenInstructionSet(GateKind):
    """The rows were answered on the device's own instruction set, by a CPU of its class or an emulated one.

    INT8 products saturate on some instruction sets and not on others, so one file can answer differently on two CPUs.
    The pipeline adds this gate for every device. A recipe cannot leave it out, it can only accept what is not proven.
    """

    kind: Literal["instruction_set"] = "instruction_set"
    name: Name = "instruction set"
    """The gate's own name."""
    on_inconclusive: OnInconclusive = "fail"
    """The consequence where another instruction set answered: fail, or a warning, which the recipe accepts."""

    decides_once: ClassVar[bool] = True

    @classmethod
    def shown(cls) -> Shown:
        """Show the share of rows that the device's own instruction set answered."""
        return Shown(allowed="above")

    @property
    def by_answers(self) -> bool:
        """False: it looks at the CPU that answered."""
        return False

    @property
    def demand(self) -> Demand:
        """Nothing of the answers themselves: a model that is never right passes too."""
        return "nothing"

    @property
    def heading(self) -> str:
        """The words themselves."""
        return "Instruction set"

    @property
    def facts(self) -> dict[str, Any]:
        """The metric's name, and its limit: all rows."""
        return {"metric": "instruction_set", "threshold": 1.0}

    def plan(self, _: PlannedRows, /) -> PlanLine:
        """Need no number of rows."""
        return not_of_rows(self.name)

    def decide(self, evidence: Evidence) -> GateResult:
        """Pass where the device's own set answered; another one shows nothing, so that is inconclusive.

        The share of rows that it answered is a figure: a person can answer for a file that ran elsewhere, but not for
        one that was not run.
        """
        rows = len(evidence.candidate.measured_rows("candidate"))
        cpu = evidence.candidate.answering_cpu("candidate")
        proven = rows if cpu.is_proven else 0
        return self.concluded(
            "pass" if cpu.is_proven else "inconclusive",
            f"{self.heading}: {in_words.rows(proven)} of {rows:,} were answered on the device's own, {cpu.of_device}"
            + ("." if cpu.is_proven else f"; the rows were answered on {cpu.set_in_words}, by {cpu.name}."),
            lambda: f"{_PROOF}{_ACCEPTANCE if self.on_inconclusive == 'fail' else ''}.",
            n=rows,
            candidate_value=proven / rows,
        )
