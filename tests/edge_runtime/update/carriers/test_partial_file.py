import hashlib
import json
import os
from pathlib import Path

import pytest

from edge_runtime.errors import UpdateError
from edge_runtime.update.carriers import partial_file
from edge_runtime.update.carriers.partial_file import PartialFile, discard, record_of

DATA = os.urandom(3_000_000)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "blob.part"


def _begun(part: Path, synced: int, written: int) -> None:
    """Leave a part as a killed process does: so many bytes synced, so many written."""
    file = PartialFile(part, len(DATA))
    file.begin('"tag"')
    file.append(DATA[:synced])
    file.sync()
    file.append(DATA[synced:written])
    file._file.close()


def _in_another_boot(part: Path, monkeypatch: pytest.MonkeyPatch) -> PartialFile:
    monkeypatch.setattr(partial_file, "boot_id", lambda: "another")
    return PartialFile(part, len(DATA))


def test_within_a_boot_all_that_was_written_counts(part: Path) -> None:
    _begun(part, 1000, 2_500_000)
    with PartialFile(part, len(DATA)) as file:
        assert (file.length, file.earlier, file.etag) == (2_500_000, 2_500_000, '"tag"')
        file.append(DATA[2_500_000:])
        assert file.sha256() == hashlib.sha256(DATA).hexdigest()
    assert part.read_bytes() == DATA


def test_after_a_power_cut_only_what_was_synced_counts(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _begun(part, 1000, 2_500_000)
    part.write_bytes(DATA[:1000] + bytes(5000))  # what a journal may bring back
    with _in_another_boot(part, monkeypatch) as file:
        assert file.length == 1000
        file.append(DATA[1000:])
        assert file.sha256() == hashlib.sha256(DATA).hexdigest()
    assert part.read_bytes() == DATA


def test_a_file_that_lost_synced_bytes_counts_as_it_is(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _begun(part, 1000, 1000)
    part.write_bytes(DATA[:10])
    with _in_another_boot(part, monkeypatch) as file:
        assert file.length == 10


@pytest.mark.parametrize(
    "record", ["", "{", "[]", '{"boot": 1, "synced": 5, "etag": null}', '{"boot": "b", "synced": -5, "etag": null}']
)
def test_without_a_record_that_can_be_read_nothing_counts(part: Path, record: str) -> None:
    _begun(part, 1000, 1000)
    record_of(part).write_text(record)
    with PartialFile(part, len(DATA)) as file:
        assert file.length == 0
    assert part.read_bytes() == b""


def test_a_file_that_is_too_long_is_begun_anew(part: Path) -> None:
    _begun(part, 1000, 1000)
    with PartialFile(part, 999) as file:
        assert file.length == 0


def test_leaving_after_an_update_error_keeps_what_is_there(part: Path) -> None:
    with pytest.raises(UpdateError), PartialFile(part, len(DATA)) as file:
        file.begin(None)
        file.append(DATA[:5000])
        raise UpdateError("cut")
    assert json.loads(record_of(part).read_text())["synced"] == 5000


def test_the_record_says_synced_only_after_the_sync(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == part:
            synced.append(json.loads(record_of(part).read_text())["synced"])
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    _begun(part, 1000, 1000)
    assert synced == [0]
    assert json.loads(record_of(part).read_text())["synced"] == 1000


def test_an_absurd_etag_is_left_out(part: Path) -> None:
    with PartialFile(part, 10) as file:
        file.begin('"' + "x" * 500 + '"')
        assert file.etag is None


def test_a_link_is_not_followed(part: Path, tmp_path: Path) -> None:
    part.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        PartialFile(part, 10)


def test_discard_removes_both(part: Path) -> None:
    _begun(part, 10, 10)
    discard(part)
    discard(part)
    assert not list(part.parent.iterdir())
