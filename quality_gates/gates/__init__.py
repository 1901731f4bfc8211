"""TODO."""

from quality_gates.gates.decision import decide
from quality_gates.gates.planning import PlanLine, plan

__all__ = ["PlanLine", "decide", "plan"]
