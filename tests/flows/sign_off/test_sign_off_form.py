"""The form of the flow `sign-off`, as the Prefect UI draws it."""

from prefect.utilities.callables import parameter_schema

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
