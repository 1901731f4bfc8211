"""`edgewright watch --register`: what it refuses before it asks MLflow, and what it hands on."""

import pytest

from flows.cli import main
from flows.watch.command import SECRET


@pytest.fixture(autouse=True)
def _no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET, raising=False)
    monkeypatch.delenv(f"{SECRET}_FILE", raising=False)
    monkeypatch.setattr("flows.watch.command.prepare", lambda _: None)


def registers(monkeypatch: pytest.MonkeyPatch, address: str) -> int:
    """Return the exit code of `edgewright watch --register ADDRESS`."""
    monkeypatch.setattr("sys.argv", ["edgewright", "watch", "--register", address])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    "address",
    ["http://host:8765", "http://host:8765/", "host:8765/webhook", "ftp://host/webhook", "http:///webhook", "http://["],
)
def test_an_address_at_which_no_watcher_listens_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    monkeypatch.setenv(SECRET, "a secret")
    assert registers(monkeypatch, address) == 2
    said = capsys.readouterr().err
    assert "expected the address of a watcher, such as http://HOST:8765/webhook, got " in said and address in said


def test_a_refused_address_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registers(monkeypatch, "http://ada:lovelace@host:8765") == 2
    assert "lovelace" not in capsys.readouterr().err


def test_a_missing_secret_is_told_with_the_place_where_up_keeps_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registers(monkeypatch, "http://host:8765/webhook") == 2
    said = capsys.readouterr().err
    assert f"{SECRET}: expected the secret" in said and "EDGEWRIGHT_HOME/services/secrets/webhook-secret" in said


def test_a_good_address_is_handed_to_mlflow_with_the_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SECRET, "a secret")
    monkeypatch.setattr("tasks.registry.register_webhook", lambda _, address, secret: f"{address} with {secret}")
    assert registers(monkeypatch, "https://host:8765/webhook") == 0
    assert capsys.readouterr().out == "https://host:8765/webhook with a secret\n"
