"""Foresight: how likely a version that is as good as its references passes all gates at once, told before training.

The policy, the rows as they are known and the rates of earlier verdicts come in; a chance, the gate that holds it down
and the rows that would do go out.
"""

from quality_gates.foresight.simulation import MOST_TIMES, Expected, JointChance, joint_chance

__all__ = ["MOST_TIMES", "Expected", "JointChance", "joint_chance"]
