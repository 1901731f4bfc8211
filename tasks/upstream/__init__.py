"""The way from a registered version to a parent: checks before any long work, then a program or an ONNX file.

In comes a model's name, a version and a recipe's path; out go the job, whose splits are read and checked, the parent,
and the contexts that every later step works in. Long work starts only when everything here has been found good.
"""

from tasks.upstream.answer_checks import check_parent_answers, check_teacher
from tasks.upstream.context import REMEDY, UNTRAINABLE, Context, DeviceContext
from tasks.upstream.job_checks import PlannedRecipe, check_recipe, plan_of, preflight
from tasks.upstream.parents import OnnxParent, Parent, TorchParent, stored_outputs
from tasks.upstream.recipe_trial import try_with_model
from tasks.upstream.registered_form import FirstLook, RegisteredInput, first_look
from tasks.upstream.representativeness_check import check_representativeness
from tasks.upstream.resolution import resolve

__all__ = [
    "REMEDY",
    "UNTRAINABLE",
    "Context",
    "DeviceContext",
    "FirstLook",
    "OnnxParent",
    "Parent",
    "PlannedRecipe",
    "RegisteredInput",
    "TorchParent",
    "check_parent_answers",
    "check_recipe",
    "check_representativeness",
    "check_teacher",
    "first_look",
    "plan_of",
    "preflight",
    "resolve",
    "stored_outputs",
    "try_with_model",
]
