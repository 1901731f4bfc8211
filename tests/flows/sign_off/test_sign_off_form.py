"""The form of the flow `sign-off`, as the Prefect UI draws it."""

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from flows.sign_off.sign_off_form import sign_off


def test_the_form_has_a_sentence_for_each_field() -> None:
    fields = parameter_schema(sign_off).properties
    assert list(fields) == ["version", "your_name", "reason", "decision", "device"]
    assert all(field["description"].endswith(".") for field in fields.values())


def test_no_answer_of_the_form_is_a_yes() -> None:
    schema = parameter_schema(sign_off)
    assert schema.required == ["version", "your_name", "reason", "decision"]
    assert schema.properties["decision"]["enum"] == ["publish", "refuse"]
    assert "default" not in schema.properties["decision"]


@pytest.mark.parametrize(("name", "text"), [("version", "m/1\n2"), ("version", "m" * 301), ("your_name", "Ada\n")])
def test_what_would_be_an_odd_name_of_the_run_is_refused_at_submission(name: str, text: str) -> None:
    schema = parameter_schema(sign_off).model_dump()
    given = {"version": "digits/3", "your_name": "Ada", "reason": "It is good.", "decision": "publish"}
    assert validate(given, schema) == []
    refused = {error.relative_path[0] for error in validate(given | {name: text}, schema)}
    assert refused == {name}
