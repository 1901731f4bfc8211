"""Private keys in files: made once, encrypted, and read only where nobody else can read them."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

import flows.cli
from flows.sign_off.key_files import PASSPHRASE, make_key, read_key
from quality_gates.errors import SignOffError
from quality_gates.signatures import written_key

PHRASE = "correct horse"


def say(_prompt: str) -> str:
    return PHRASE


def plain(path: Path, key: Ed25519PrivateKey | Ed448PrivateKey) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


def test_a_key_is_read_as_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "ada.pem"
    public = make_key(path, say)
    assert path.stat().st_mode & 0o777 == 0o600 and b"ENCRYPTED" in path.read_bytes()
    assert written_key(read_key(path, say).public_key()) == public


def test_the_passphrase_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSPHRASE, PHRASE)
    public = make_key(tmp_path / "ada.pem", lambda _: pytest.fail("asked"))
    assert written_key(read_key(tmp_path / "ada.pem", lambda _: pytest.fail("asked")).public_key()) == public


def test_a_key_without_a_passphrase_is_not_made_but_read(tmp_path: Path) -> None:
    with pytest.raises(SignOffError, match="expected a passphrase for the new key, got none"):
        make_key(tmp_path / "ada.pem", lambda _: "")
    assert not (tmp_path / "ada.pem").exists()
    key = Ed25519PrivateKey.generate()
    assert written_key(read_key(plain(tmp_path / "own.pem", key), say).public_key()) == written_key(key.public_key())


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ada.pem"
    make_key(path, say)
    before = path.read_bytes()
    with pytest.raises(SignOffError, match="expected a new file that can be written, got File exists"):
        make_key(path, say)
    assert path.read_bytes() == before


def test_what_others_can_read_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "ada.pem"
    make_key(path, say)
    path.chmod(0o640)
    with pytest.raises(SignOffError, match="got mode 640; chmod 600 it"):
        read_key(path, say)


def test_another_passphrase_file_or_kind_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ada.pem"
    make_key(path, say)
    with pytest.raises(SignOffError, match="got another file or passphrase; try again") as refused:
        read_key(path, lambda _: "wrong words")
    assert "wrong words" not in str(refused.value)
    (tmp_path / "text").touch(0o600)
    with pytest.raises(SignOffError, match="expected a private key in PEM"):
        read_key(tmp_path / "text", say)
    with pytest.raises(SignOffError, match="got No such file or directory; check --key"):
        read_key(tmp_path / "missing", say)
    with pytest.raises(SignOffError, match="expected an ed25519 key, got another kind"):
        read_key(plain(tmp_path / "ed448.pem", Ed448PrivateKey.generate()), say)


def test_the_command_prints_the_public_key_alone(tmp_path: Path) -> None:
    path = tmp_path / "ada.pem"
    done = CliRunner().invoke(flows.cli.app, ["sign-off-key", str(path)], input=f"{PHRASE}\n{PHRASE}\n")
    assert done.exit_code == 0, done.output
    assert written_key(read_key(path, say).public_key()) in done.output
    assert PHRASE not in done.output and "PRIVATE" not in done.output
