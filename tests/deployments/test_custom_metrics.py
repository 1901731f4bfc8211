"""Custom metrics: found by their name, or refused in one sentence."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from deployments.custom_metrics import custom_metrics_digest, load_custom_metrics
from deployments.errors import ConfigurationError
from deployments.recipe import read_recipe
from tests.deployments.metrics import share_of_wrong_rows
from tests.deployments.yaml_cases import HERE

NAME = "tests.deployments.metrics:share_of_wrong_rows"


def test_the_custom_metrics_of_a_recipe_are_loaded_by_name() -> None:
    assert load_custom_metrics(read_recipe(HERE / "valid" / "everything.yaml").gates) == {NAME: share_of_wrong_rows}
    assert load_custom_metrics(read_recipe(Path("digits")).gates) == {}


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
        load_custom_metrics([SimpleNamespace(metric=name)])  # type: ignore[list-item]


def test_another_metric_is_another_digest() -> None:
    assert custom_metrics_digest({NAME: share_of_wrong_rows}) != custom_metrics_digest({})
