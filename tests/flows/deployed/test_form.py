"""The form by which people start a run in Prefect."""

from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.schema_tools.validation import validate

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


BAD = {"model": ["", "m" * 257, "a\nb", "a\n"], "version": ["", "1" * 19, "1\n2", "1\n", "one"]}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_what_is_no_name_or_number_is_refused_at_submission(name: str, text: str) -> None:
    schema, given = compress.parameters.model_dump(), {"model": "m d\u00fc-1", "version": "3", "recipe": "digits"}
    assert validate(given, schema) == []
    refused = {error.relative_path[0] for error in validate(given | {name: text}, schema)}
    assert refused == {name}
