"""Representativeness: comparing the rows that a candidate is trained and calibrated with with the deployment sites.

Sets of rows with the parent's outputs, and a sample from the sites, come in; what goes out is a record of comparisons,
and a sentence for each difference that is larger than the recipe allows and shown by a test.
"""

from quality_gates.representativeness.comparisons import Comparison, Representativeness, RepresentativenessPolicy
from quality_gates.representativeness.findings import hold_against
from quality_gates.representativeness.two_sample import Sample

__all__ = ["Comparison", "Representativeness", "RepresentativenessPolicy", "Sample", "hold_against"]
