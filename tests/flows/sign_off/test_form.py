"""The form of the flow `sign-off`, as the Prefect UI draws it."""

from prefect.utilities.callables import parameter_schema

from flows.sign_off.form import sign_off


def test_the_form_has_a_title_and_a_sentence_for_each_field() -> None:
    schema = parameter_schema(sign_off)
    fields = {name: (field["title"], field["description"]) for name, field in schema.properties.items()}
    assert list(fields) == ["subject", "name", "reason", "decision", "device"]
    assert [title for title, _ in fields.values()] == ["Version", "Your name", "Reason", "Decision", "Device"]
    assert all(sentence.endswith(".") for _, sentence in fields.values())


def test_no_answer_of_the_form_is_a_yes() -> None:
    schema = parameter_schema(sign_off)
    assert schema.required == ["subject", "name", "reason", "decision"]
    assert schema.properties["decision"]["enum"] == ["publish", "refuse"]
    assert "default" not in schema.properties["decision"]
