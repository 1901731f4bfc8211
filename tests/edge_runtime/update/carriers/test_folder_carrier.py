import hashlib
import os
from pathlib import Path

import pytest

from edge_runtime.errors import UpdateError
from edge_runtime.update import FolderCarrier, NotThere, Unreachable

DATA = os.urandom(2_500_000)
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stick" / "blobs").mkdir(parents=True)
    (tmp_path / "stick" / "blobs" / SHA).write_bytes(DATA)
    return tmp_path / "stick"


def _download(folder: Path, part: Path) -> None:
    FolderCarrier(folder).download(f"blobs/{SHA}", part, size=len(DATA), sha256=SHA)


def test_a_small_file_is_read(folder: Path) -> None:
    (folder / "timestamp.json").write_text("{}")
    assert FolderCarrier(folder)("timestamp.json", 2) == b"{}"
    with pytest.raises(UpdateError, match="at most 1 bytes"):
        FolderCarrier(folder)("timestamp.json", 1)


def test_a_large_file_is_copied(folder: Path, tmp_path: Path) -> None:
    _download(folder, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == DATA


def test_a_copy_goes_on_where_it_was_left(folder: Path, tmp_path: Path) -> None:
    good = (folder / "blobs" / SHA).read_bytes()
    (folder / "blobs" / SHA).write_bytes(good[:2_000_000] + bytes(500_000))
    with pytest.raises(UpdateError, match="expected the sha256"):
        _download(folder, tmp_path / "part")
    assert not list(tmp_path.glob("part*"))
    (folder / "blobs" / SHA).write_bytes(good)
    _download(folder, tmp_path / "part")
    (tmp_path / "part").write_bytes(b"?" + DATA[1:100_000])  # as an earlier run might leave it
    _download(folder, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == DATA


def test_what_is_not_there_is_told_from_a_stick_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        FolderCarrier(folder)("x", 1)
    with pytest.raises(Unreachable, match="plug it in"):
        FolderCarrier(tmp_path / "absent")("x", 1)


def test_links_folders_and_other_lengths_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to("/etc/hostname")
    for path in ("link", "blobs"):
        with pytest.raises(Unreachable, match="cannot be read"):
            FolderCarrier(folder)(path, 100)
    (folder / "blobs" / SHA).write_bytes(DATA[:-1])
    with pytest.raises(UpdateError, match="expected 2500000 bytes, got 2499999"):
        _download(folder, tmp_path / "part")


def test_paths_out_of_the_folder_are_refused(folder: Path) -> None:
    with pytest.raises(UpdateError, match="below the repository"):
        FolderCarrier(folder)("../secret", 1)
