"""Metrics of the user's own: found by their name, or refused in one sentence."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from deployments.errors import ConfigurationError
from deployments.functions import functions_digest, load_functions
from deployments.recipe import read_recipe
from tests.deployments.metrics import share_of_wrong_rows
from tests.deployments.yaml_cases import HERE

NAME = "tests.deployments.metrics:share_of_wrong_rows"


def test_the_functions_of_a_recipe_are_loaded_by_name() -> None:
    assert load_functions(read_recipe(HERE / "valid" / "everything.yaml").gates) == {NAME: share_of_wrong_rows}
    assert load_functions(read_recipe(Path("digits")).gates) == {}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_module:cost", "expected module no_such_module to import"),
        ("tests.deployments.metrics:cost", "got nothing of that name"),
        ("tests.deployments.metrics:pd", "expected a function of one model's rows"),
    ],
)
def test_what_is_no_function_is_refused(name: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_functions([SimpleNamespace(metric=name)])  # type: ignore[list-item]


def test_another_function_is_another_digest() -> None:
    assert functions_digest([share_of_wrong_rows]) != functions_digest([])
