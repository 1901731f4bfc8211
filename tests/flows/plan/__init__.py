"""Tests of the plan over all recipes."""
