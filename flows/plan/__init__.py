"""The plan over all recipes, as `edgewright plan` prints it and `reconcile` does it.

In come recipes and the registry; out go the runs that are wanted with their reasons, what stands, and the recipes that
could not be read. Making a plan reads workloads and their data, and changes nothing.
"""

from flows.plan.plan import Plan, RecipeError, make_plan
from flows.plan.printed_plan import plan_lines

__all__ = ["Plan", "RecipeError", "make_plan", "plan_lines"]
