"""The form by which people start a run in Prefect."""

from typing import Any

import pytest
from prefect import Flow

from flows.compress import compress
from flows.reconcile import reconcile


@pytest.mark.parametrize("flow", [pytest.param(compress, id="compress"), pytest.param(reconcile, id="reconcile")])
def test_every_parameter_has_a_title_and_a_text(flow: Flow[..., Any]) -> None:
    properties = flow.parameters.properties
    assert properties
    for name, said in properties.items():
        assert said["title"] not in ("", name), name
        assert said["title"][0].isupper(), name
        assert said["description"].endswith("."), name


def test_what_a_person_must_write_has_an_example() -> None:
    schema = compress.parameters
    assert schema.required == ["model", "version", "recipe"]
    for name in schema.required:
        assert schema.properties[name]["examples"], name
    assert "digits" in schema.properties["recipe"]["examples"]


def test_the_places_are_to_be_left_empty() -> None:
    said = compress.parameters.properties["workspace"]
    assert said["title"] == "Places (leave it empty)" and said["default"] is None
