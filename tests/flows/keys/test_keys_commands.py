"""`edgewright keys`: what it prints, with which code it ends, and that no passphrase is an argument."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from flows.cli import app
from flows.keys import keys_commands
from tasks.errors import KeysError
from tasks.repository import SignedRepository, open_repository, utc_now
from tests.flows.keys.conftest import Edgewright


def with_(offline: Path, *numbers: int) -> list[object]:
    return [word for number in numbers for word in ("--with", offline / f"holder-{number}")]


def test_init_says_what_to_do_with_each_key(edgewright: Edgewright, home: Path, offline: Path) -> None:
    said = edgewright("keys", "init", "--offline", offline, "--device", "camera", "--device", "kiosk").output
    assert str(home / "keys" / "root.json") in said and "Ship" in said
    assert str(offline) in said and "one person" in said
    assert {path.name for path in offline.iterdir()} == {"holder-1", "holder-2", "holder-3"}
    roots = sorted((home.parent / "target" / "metadata").glob("*.root.json"))
    assert roots[0].read_bytes() == (home / "keys" / "root.json").read_bytes()


def test_init_takes_the_numbers_of_keys(edgewright: Edgewright, offline: Path) -> None:
    edgewright("keys", "init", "--offline", offline, "--root-keys", "2", "--threshold", "1", "--targets-keys", "1",
               "--targets-threshold", "1")  # fmt: skip
    said = edgewright("keys", "status").output
    assert "1 of 2" in said.partition("targets")[0]


def test_status_shows_every_role_and_which_keys_are_here(edgewright: Edgewright, begun: Path) -> None:
    said = edgewright("keys", "status").output
    rows = {line.split()[0]: line for line in said.splitlines()[2:]}
    assert list(rows) == ["root", "targets", "snapshot", "timestamp", "camera"]
    assert "2 of 3" in rows["root"] and "365" in rows["root"] and "*" not in rows["root"]
    (key,) = (begun / "keys").glob("device-camera-*.pem")
    assert f"{key.stem[-12:]}*" in rows["camera"] and " 90 " in rows["camera"]


@pytest.mark.parametrize(
    ("days", "role", "says"),
    [
        (5, "timestamp", "no worker has signed it again in time"),
        (8, "timestamp", "devices refuse it: no worker"),
        (310, "root", "persons must sign it again: edgewright keys renew root --with KEY"),
    ],
)
def test_status_ends_with_1_where_a_person_has_to_do_something(
    edgewright: Edgewright, begun: Path, monkeypatch: pytest.MonkeyPatch, days: int, role: str, says: str
) -> None:
    assert begun.is_dir()
    monkeypatch.setattr(SignedRepository, "now", lambda _: utc_now() + timedelta(days=days))
    said = edgewright("keys", "status", says=1).output
    (row,) = (line for line in said.splitlines() if line.startswith(role))
    assert says in row


def test_status_without_a_repository_says_how_to_make_one(edgewright: Edgewright) -> None:
    result = edgewright("keys", "status", says=1)
    assert isinstance(result.exception, KeysError) and "edgewright keys init" in str(result.exception)


def test_keys_are_added_rotated_revoked_and_renewed(edgewright: Edgewright, begun: Path, offline: Path) -> None:
    two = with_(offline, 1, 2)
    assert "Published: add kiosk." in edgewright("keys", "add", "kiosk", *two).output
    assert "Published: rotate camera." in edgewright("keys", "rotate", "camera", *two).output
    (key,) = (begun / "keys").glob("device-kiosk-*.pem")
    said = edgewright("keys", "revoke", key.stem[-12:], "--empty", *two).output
    assert f"Destroy {key}" in said
    assert "Published: renew root." in edgewright("keys", "renew", "root", *two).output
    assert "Published: renew targets." in edgewright("keys", "renew", "targets", *two).output
    new = offline.with_name("new")
    assert "give each folder to its holder" in edgewright("keys", "rotate", "root", *two, "--offline", new).output
    assert edgewright("keys", "resign").output == "Signed. Nothing else was due.\n"
    rows = edgewright("keys", "status").output.splitlines()
    assert [row.split()[0] for row in rows[-2:]] == ["camera", "kiosk"]


def test_persons_on_several_machines_sign_one_change(edgewright: Edgewright, begun: Path, offline: Path) -> None:
    change = begun.parent / "change.json"
    said = edgewright("keys", "renew", "root", *with_(offline, 3), "--change", change).output
    assert f"edgewright keys sign {change}" in said
    assert "2.root.json: counts until" in edgewright("keys", "sign", change).output
    assert "Publish it" in edgewright("keys", "sign", change, *with_(offline, 1)).output
    assert edgewright("keys", "publish", change).output == "Published: renew root.\n"


def test_a_key_whose_holder_is_away_is_named(edgewright: Edgewright, begun: Path, offline: Path) -> None:
    assert begun.is_dir()
    result = edgewright("keys", "renew", "root", *with_(offline, 3), says=1)
    assert "root: expected 2 of the keys" in str(result.exception)


def test_no_option_takes_a_passphrase() -> None:
    command: Any = typer.main.get_command(app)
    group = command.commands["keys"]
    assert isinstance(group, TyperGroup) and len(group.commands) == 9
    for each in group.commands.values():
        assert not [name for parameter in each.params for name in parameter.opts if "pass" in name]


def test_a_person_at_a_terminal_types_passphrases_unseen(
    home: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EDGEWRIGHT_KEYS_PASSPHRASE", "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(keys_commands, "_asker", lambda: _asked)
    prompts.clear()
    words = ["keys", "init", "--offline", str(offline), "--root-keys", "2", "--threshold", "2"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert [twice for _, twice in prompts] == [True, True, True]
    assert [prompt.rpartition("/")[2] for prompt, _ in prompts] == [
        "holder-1", "holder-2", "Passphrase of the worker's keys",
    ]  # fmt: skip
    assert open_repository(home.parent / "target", home / "keys").is_begun()


prompts: list[tuple[str, bool]] = []


def _asked(prompt: str, *, twice: bool) -> str:
    prompts.append((prompt, twice))
    return "typed by a person"


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", type("NoTerminal", (), {"isatty": lambda _: False})())
    assert keys_commands._asker() is None
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda _: True})())
    asked: list[dict[str, object]] = []

    def prompt(_: str, **named: object) -> str:
        asked.append(named)
        return "typed"

    monkeypatch.setattr(typer, "prompt", prompt)
    ask = keys_commands._asker()
    assert ask is not None and ask("Passphrase", twice=True) == "typed"
    assert asked == [{"hide_input": True, "confirmation_prompt": True, "err": True}]
