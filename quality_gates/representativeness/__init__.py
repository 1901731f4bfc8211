"""Whether the rows that a candidate is taught and calibrated with are like those of the deployment sites."""

from quality_gates.representativeness.compare import hold_against
from quality_gates.representativeness.policy import RepresentativenessPolicy
from quality_gates.representativeness.record import Comparison, Representativeness
from quality_gates.representativeness.sample import Sample

__all__ = ["Comparison", "Representativeness", "RepresentativenessPolicy", "Sample", "hold_against"]
