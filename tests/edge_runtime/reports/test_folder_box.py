"""The drop box in a folder: durable, resumable, and nothing in it is replaced."""

import os
from pathlib import Path

import pytest

from edge_runtime.reports.folder_box import FolderBox
from edge_runtime.update import Rejected, Unreachable

PATH, DATA = "a/000000000001.json", b"x" * 3000


def put(folder: Path, data: bytes = DATA) -> None:
    FolderBox(folder).put(PATH, data, "application/x")


def test_a_file_is_durable_when_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    put(tmp_path)
    assert (tmp_path / PATH).read_bytes() == DATA
    assert synced[0] == str(tmp_path) and ".000000000001.json." in synced[1] and synced[2] == str(tmp_path / "a")


def test_what_is_there_already_counts_as_carried(tmp_path: Path) -> None:
    put(tmp_path)
    put(tmp_path)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["000000000001.json"]


@pytest.mark.parametrize("other", [b"", b"y", b"x" * 3001])
def test_another_file_is_not_replaced(tmp_path: Path, other: bytes) -> None:
    put(tmp_path, other)
    with pytest.raises(Rejected, match="not replaced"):
        put(tmp_path)
    assert (tmp_path / PATH).read_bytes() == other


def test_what_a_pulled_stick_has_left_is_cleaned(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".000000000001.json.0123.tmp").write_bytes(b"x")
    put(tmp_path)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["000000000001.json"]


def test_no_link_leads_out_of_the_box(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "box" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Rejected, match="not a link"):
        put(tmp_path / "box")
    (tmp_path / "box" / "a").unlink()
    (tmp_path / "box" / "a").mkdir()
    (tmp_path / "box" / PATH).symlink_to(tmp_path / "elsewhere" / "x")
    with pytest.raises(Rejected, match="can be compared"):
        put(tmp_path / "box")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="plug it in"):
        put(tmp_path / "media")
    assert not (tmp_path / "media").exists()


def test_a_full_stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fired = []

    def full(_: int) -> None:
        fired.append("full")
        raise OSError(28, "No space left on device")

    (tmp_path / "a").mkdir()
    with monkeypatch.context() as patch, pytest.raises(Unreachable, match="No space left"):
        patch.setattr(os, "fsync", full)
        put(tmp_path)
    assert fired and list((tmp_path / "a").iterdir()) == []
    put(tmp_path)
