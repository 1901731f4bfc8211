"""Recipes: the model, its devices, the techniques to try and the gates; of one model, or of a family of several.

A path or a name comes in, a Recipe comes out: a FamilyRecipe where the file has `members`.
"""

from deployments.recipe.family_member import FamilyMember
from deployments.recipe.family_recipe import FEWEST, FamilyRecipe
from deployments.recipe.model_recipe import WHEN, FollowedAlias, Recipe
from deployments.recipe.recipe_files import (
    NAMED,
    RECIPES,
    RecipeNames,
    named_recipes,
    read_recipe,
    recorded_recipe,
    shipped_recipes,
)
from deployments.recipe.references import ModelName
from deployments.rungs import Dynamic, PostTraining, QuantizationAware, Rung
from deployments.techniques import Distil, FineTune, Prune, Search

__all__ = [
    "FEWEST",
    "NAMED",
    "RECIPES",
    "WHEN",
    "Distil",
    "Dynamic",
    "FamilyMember",
    "FamilyRecipe",
    "FineTune",
    "FollowedAlias",
    "ModelName",
    "PostTraining",
    "Prune",
    "QuantizationAware",
    "Recipe",
    "RecipeNames",
    "Rung",
    "Search",
    "named_recipes",
    "read_recipe",
    "recorded_recipe",
    "shipped_recipes",
]
