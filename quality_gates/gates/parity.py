"""The parity gate: two ways of running the candidate that must answer the same."""

import math
from typing import Any, Literal

from pydantic import Field

from quality_gates.errors import EvidenceError, UnsettledError
from quality_gates.evidence import MEASURE_AGAIN, Evidence, ParityMeasurement
from quality_gates.gates import figures_in_words as in_words
from quality_gates.gates.kind import Demand, GateKind, Shown
from quality_gates.gates.planning import PlanLine, PlannedRows, not_of_rows
from quality_gates.policy import Name, ParityCheck, Share
from quality_gates.verdict import GateResult

TITLES: dict[ParityCheck, str] = {
    "torch_onnx": "torch against ONNX Runtime",
    "batched_single": "Batches against single rows",
    "optimized_plain": "The optimized graph against the plain one",
    "reloaded_original": "The file loaded again in a fresh process against the session that was open",
    "emulated_native": "The file on the device's CPU, emulated, against the same file on this machine's",
}


class Parity(GateKind):
    """Two ways of running the candidate answer the same."""

    kind: Literal["parity"] = "parity"
    name: Name
    """The gate's own name."""
    check: ParityCheck
    """The two ways: torch and ONNX Runtime, batches and single rows, the optimized graph and the plain one, the file in
    a fresh process and in the session that is open, or the emulated CPU of the device and this machine's."""
    at_most: float = Field(strict=True, ge=0)
    """The largest difference of an output that is allowed, as a share of the largest output."""
    rows_at_most: Share
    """The largest share of rows whose answer may differ."""

    @classmethod
    def shown(cls) -> Shown:
        """Show the largest difference; it must lie below the limit."""
        return Shown(allowed="below")

    @property
    def by_answers(self) -> bool:
        """False: it needs the file itself."""
        return False

    @property
    def demand(self) -> Demand:
        """Nothing: a model that is never right passes too."""
        return "nothing"

    @property
    def heading(self) -> str:
        """The two ways."""
        return TITLES[self.check]

    @property
    def facts(self) -> dict[str, Any]:
        """Check and limit."""
        return {"metric": f"parity_{self.check}", "threshold": self.at_most, "unit": "value"}

    def plan(self, _: PlannedRows, /) -> PlanLine:
        """Need no number of rows."""
        return not_of_rows(self.name)

    def decide(self, evidence: Evidence) -> GateResult:
        """Pass when outputs and answers differ as little as is allowed; what was not measured on any row fails."""
        evidence.candidate.check_answers("candidate")
        seen = self._measured(evidence)
        share = seen.differing / seen.rows
        holds = seen.largest <= self.at_most and share <= self.rows_at_most
        return self.concluded(
            "pass" if holds else "fail",
            f"{self.heading}: the largest difference is {seen.largest:.3g} of the largest output (at most "
            f"{self.at_most:g} is allowed), and {seen.differing:,} of {in_words.rows(seen.rows)} are answered "
            f"differently (at most {100 * self.rows_at_most:g} %).",
            lambda: "Look for the operator that differs: run both on one row, output by output.",
            n=seen.rows,
            candidate_value=seen.largest,
            estimate=share,
        )

    def _measured(self, evidence: Evidence) -> ParityMeasurement:
        found = [measured for measured in evidence.parity if measured.check == self.check]
        if len(found) != 1:
            how = "was not measured" if not found else f"was measured {len(found)} times"
            raise EvidenceError(f"It {how}.", MEASURE_AGAIN)
        (seen,) = found
        if seen.failure is not None:
            kind, ended = (UnsettledError, "was interrupted") if seen.interrupted else (EvidenceError, "failed")
            raise kind(f"The measurement {ended}: {seen.failure}", MEASURE_AGAIN)
        counted = seen.rows > 0 and 0 <= seen.differing <= seen.rows
        if not (counted and math.isfinite(seen.largest) and seen.largest >= 0):
            raise EvidenceError(
                f"The measurement says {seen.differing} of {seen.rows} rows and a difference of {seen.largest}, "
                "which cannot be.",
                MEASURE_AGAIN,
            )
        return seen
