"""TODO."""

from tasks.selection.attempts import Attempt, Climb
from tasks.selection.ladder import climb, judge
from tasks.selection.pareto import front
from tasks.selection.reference_models import references

__all__ = ["Attempt", "Climb", "climb", "front", "judge", "references"]
