"""Selection of the file for a device: attempts of rungs on models, the ladder or a search, and the gates' one look.

In comes a device's context with its snapshots and student; out go all attempts with their reasons, and the judgement of
the gates on the test rows. Validation rows decide while searching; test rows decide once.
"""

from tasks.selection.attempts import Attempt, Climb, DeviceTrials, Model, Trials
from tasks.selection.ladder import Judgement, climb, judge
from tasks.selection.pareto import front
from tasks.selection.reference_models import References, references

__all__ = [
    "Attempt",
    "Climb",
    "DeviceTrials",
    "Judgement",
    "Model",
    "References",
    "Trials",
    "climb",
    "front",
    "judge",
    "references",
]
