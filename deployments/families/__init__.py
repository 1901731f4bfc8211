"""Families: the workloads of several models with one backbone as one workload.

The members' tasks come in; a JointWorkload comes out, whose rows, targets, loss, score and answers are those of all
tasks. The outputs that it reads are those of all heads in their order, each flattened from dim 1: (rows, total).
"""

from deployments.families.family_task import FamilyTask
from deployments.families.joint_workload import JointWorkload

__all__ = ["FamilyTask", "JointWorkload"]
