import hashlib
import os
from pathlib import Path

import pytest

from edge_runtime import files


def test_sha256_of_matches_hashlib_over_several_chunks(tmp_path: Path) -> None:
    data = os.urandom(3 * (1 << 20) + 7)
    (tmp_path / "data").write_bytes(data)
    assert files.sha256_of(tmp_path / "data") == hashlib.sha256(data).hexdigest()


def test_write_atomic_replaces_the_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "state.json"
    files.write_atomic(target, b"old")
    files.write_atomic(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_write_atomic_keeps_the_old_content_when_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "state.json"
    files.write_atomic(target, b"old")
    fired = []

    def full(descriptor: int) -> None:
        fired.append(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomic(target, b"new")
    assert fired
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_write_atomic_syncs_the_file_before_and_the_directory_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        events.append("fsync directory" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "fsync file")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        events.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    files.write_atomic(tmp_path / "state.json", b"new")
    assert events == ["fsync file", "replace", "fsync directory"]


def test_copy_synced_returns_the_digest_and_refuses_to_overwrite(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"weights")
    assert files.copy_synced(source, target) == hashlib.sha256(b"weights").hexdigest()
    assert target.read_bytes() == b"weights"
    with pytest.raises(FileExistsError):
        files.copy_synced(source, target)


def test_make_directories_syncs_every_parent_of_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "fsync_directory", synced.append)
    files.make_directories(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
