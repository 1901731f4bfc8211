"""Private keys as files: nobody else can read them, and their passphrases come from variable, file or person."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from tasks.errors import KeysError
from tasks.repository import KeyFiles, Passphrases
from tasks.repository.key_files import make_key, read_key

PHRASE = b"a long passphrase"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def path(folder: Path) -> Path:
    make_key(folder, "device-camera", PHRASE)
    (made,) = folder.iterdir()
    return made


def write(path: Path, key: object, encryption: KeySerializationEncryption) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))  # type: ignore[attr-defined]


def test_a_key_is_encrypted_and_for_its_owner_alone(folder: Path, path: Path) -> None:
    signer = read_key(path, PHRASE)
    assert path.name == f"device-camera-{signer.public_key.keyid[:12]}.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert path.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(KeysError, match=f"got mode {mode:o}.*chmod 600 .*revoke the keys"):
        read_key(path, PHRASE)


def test_a_folder_that_others_may_read_is_refused(folder: Path, path: Path) -> None:
    folder.chmod(0o755)
    with pytest.raises(KeysError, match=r"got mode 755.*chmod 700"):
        KeyFiles([folder], Passphrases()).paths()
    with pytest.raises(KeysError, match="got mode 755"):
        make_key(folder, "online", PHRASE)
    assert list(folder.iterdir()) == [path]


def test_a_link_to_a_key_is_refused(tmp_path: Path, path: Path) -> None:
    (tmp_path / path.name).symlink_to(path)
    with pytest.raises(KeysError, match="a link"):
        read_key(tmp_path / path.name, PHRASE)


def test_another_passphrase_opens_nothing(path: Path) -> None:
    with pytest.raises(KeysError, match="got another file or passphrase"):
        read_key(path, b"another passphrase")


def test_a_key_that_is_not_encrypted_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "key.pem", Ed25519PrivateKey.generate(), NoEncryption())
    with pytest.raises(KeysError, match="expected a key that is encrypted"):
        read_key(tmp_path / "key.pem", PHRASE)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "key.pem", generate_private_key(SECP256R1()), BestAvailableEncryption(PHRASE))
    with pytest.raises(KeysError, match="expected an ed25519 key"):
        read_key(tmp_path / "key.pem", PHRASE)


def test_a_killed_writer_leaves_no_part_of_a_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fired = []

    def killed(*_: object) -> None:
        fired.append(True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", killed)
        with pytest.raises(KeyboardInterrupt):
            make_key(folder, "online", PHRASE)
    assert fired and list(folder.iterdir()) == []


def test_a_file_under_another_keys_name_is_refused(folder: Path, path: Path) -> None:
    key = make_key(folder, "device-camera", PHRASE).public_key
    named = next(each for each in folder.iterdir() if each != path)
    path.rename(named)
    with pytest.raises(KeysError, match=f"expected the key {key.keyid}"):
        KeyFiles([folder], Given(PHRASE))("device-camera", {key.keyid: key})


def test_a_file_without_a_keys_name_is_told(tmp_path: Path, path: Path) -> None:
    path.rename(tmp_path / "mine.pem")
    with pytest.raises(KeysError, match=r"by its own name, ROLE-ID\.pem"):
        KeyFiles([tmp_path / "mine.pem"], Passphrases(), persons=True).paths()


def test_a_persons_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="got nothing there"):
        KeyFiles([tmp_path / "none"], Passphrases(), persons=True).paths()


class Given(Passphrases):
    def __init__(self, phrase: bytes) -> None:
        super().__init__()
        self.phrase = phrase

    def of_worker(self, *, new: bool = False) -> bytes:  # noqa: ARG002 - as its parent has it
        return self.phrase


class TestPassphrases:
    """Passphrases come from the first of variable, file and person that has one."""

    @pytest.fixture(autouse=True)
    def nothing_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("EDGEWRIGHT_KEYS_PASSPHRASE", "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE"):
            monkeypatch.delenv(name)

    @pytest.fixture
    def asked(self) -> list[tuple[str, bool]]:
        return []

    @pytest.fixture
    def person(self, asked: list[tuple[str, bool]]) -> Passphrases:
        def ask(prompt: str, *, twice: bool) -> str:
            asked.append((prompt, twice))
            return f"typed passphrase {len(asked)}"

        return Passphrases(ask)

    def test_a_variable_is_taken(self, monkeypatch: pytest.MonkeyPatch, person: Passphrases) -> None:
        monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", "of the variable")
        assert person.of_worker() == b"of the variable"

    def test_a_file_is_taken_without_its_last_newline(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, person: Passphrases
    ) -> None:
        (tmp_path / "phrase").touch(mode=0o600)
        (tmp_path / "phrase").write_text(" of the file \n")
        monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE_FILE", str(tmp_path / "phrase"))
        assert person.of_worker() == b" of the file "
        (tmp_path / "phrase").chmod(0o644)
        with pytest.raises(KeysError, match="got mode 644"):
            person.of_worker()
        (tmp_path / "phrase").chmod(0o600)
        (tmp_path / "phrase").write_text("\n")
        with pytest.raises(KeysError, match="got an empty file"):
            person.of_worker()

    def test_a_person_is_asked_once_for_each_place_and_twice_for_a_new_one(
        self, tmp_path: Path, person: Passphrases, asked: list[tuple[str, bool]]
    ) -> None:
        one, two = tmp_path / "holder-1", tmp_path / "holder-2"
        assert person.of_person(one, new=True) == person.of_person(one) == b"typed passphrase 1"
        assert person.of_person(two) == b"typed passphrase 2"
        assert asked == [(f"Passphrase of the keys in {one}", True), (f"Passphrase of the keys in {two}", False)]

    def test_the_workers_passphrase_does_not_open_a_persons_key_where_somebody_can_be_asked(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, person: Passphrases
    ) -> None:
        monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", "of the worker")
        assert person.of_person(tmp_path) == b"typed passphrase 1"
        assert Passphrases().of_person(tmp_path) == b"of the worker"
        monkeypatch.setenv("EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE", "of the person")
        assert person.of_person(tmp_path) == Passphrases().of_person(tmp_path) == b"of the person"

    def test_with_nobody_to_ask_the_variables_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(
            KeysError, match="set EDGEWRIGHT_KEYS_PASSPHRASE, name a file in EDGEWRIGHT_KEYS_PASSPHRASE_FILE"
        ):
            Passphrases().of_worker()
        with pytest.raises(KeysError, match="set EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE"):
            Passphrases().of_person(tmp_path)

    def test_a_short_passphrase_makes_no_key(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", "short")
        with pytest.raises(KeysError, match="expected at least 12 characters for a new key, got 5"):
            KeyFiles([folder], Passphrases()).make(folder, "online")
        assert not folder.exists()
