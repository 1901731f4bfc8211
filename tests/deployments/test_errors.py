"""Other libraries' errors told in one line: short, and without anybody's password."""

import pytest

from deployments.errors import one_line, without_secrets


def test_a_long_message_is_cut_and_its_lines_are_joined() -> None:
    assert one_line(ValueError("one\n  two")) == "ValueError: one two"
    assert len(one_line(ValueError("x" * 1000))) == len("ValueError: ") + 403


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no answer from http://alice:s3cr3t@host:5000/api", "no answer from http://***@host:5000/api"),
        ("postgresql+psycopg2://a:s3@cr3t@host/db is down", "postgresql+psycopg2://***@host/db is down"),
        ("GET https://host/x?run=1&access_token=s3cr3t&b=2", "GET https://host/x?run=1&access_token=***&b=2"),
        (
            "https://s3/x?X-Amz-Signature=s3cr3t&X-Amz-Credential=k",
            "https://s3/x?X-Amz-Signature=***&X-Amz-Credential=***",
        ),
        ("{'Authorization': 'Basic czNjcjN0'}", "{'Authorization': 'Basic ***'}"),
        ("Authorization: Bearer s3cr3t", "Authorization: Bearer ***"),
        ("write to me@example.org", "write to me@example.org"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("expected a token, got a key=value pair", "expected a token, got a key=value pair"),
    ],
)
def test_logins_and_keys_are_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert one_line(ValueError(text)) == f"ValueError: {shown}"


def test_the_values_of_secret_variables_are_hidden_in_either_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a/b c")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "")
    assert without_secrets("tried a/b c and a%2Fb%20c") == "tried *** and ***"


def test_a_cut_does_not_leave_half_of_a_secret() -> None:
    assert "s3cr" not in one_line(ValueError("x" * 380 + " http://alice:s3cr3t-s3cr3t@host"))
