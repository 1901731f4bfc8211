"""The plan: the runs that recipes want, each with its reasons, and why everything else stays as it is.

In come a recipe, a view of the registry and, where somebody can read workloads, the keys that answers would have today.
Out go the wanted runs, device by device, and what stands. Nothing here imports a workload, loads a model or writes.
"""

from tasks.planning.recipe_plan import MOST_ATTEMPTS, Depths, RecipePlan, plan_recipe
from tasks.planning.wanted_run import DeviceReason, WantedRun

__all__ = ["MOST_ATTEMPTS", "Depths", "DeviceReason", "RecipePlan", "WantedRun", "plan_recipe"]
