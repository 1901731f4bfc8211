"""Files that a device keeps for pipelines: by their digests, in a folder of its own, and not for long."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from edge_runtime.errors import MeasurementInterrupted
from edge_runtime.remote import kept_files as module
from edge_runtime.remote.kept_files import KEPT_S, KeptFiles


def kept(folder: KeptFiles, place: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    received = place / f"received-{digest}"
    received.write_bytes(content)
    folder.take(received, digest)
    return digest


def test_a_file_is_kept_read_only_under_its_digest_and_forgotten(tmp_path: Path) -> None:
    folder = KeptFiles(tmp_path / "kept")
    digest = kept(folder, tmp_path, b"weights")
    assert folder.has(digest) and not folder.has("0" * 64)
    assert (tmp_path / "kept" / digest).stat().st_mode & 0o777 == 0o444
    folder.forget([digest, "0" * 64])
    assert not folder.has(digest)


def test_a_file_of_another_content_is_refused(tmp_path: Path) -> None:
    received = tmp_path / "received"
    received.write_bytes(b"other")
    with pytest.raises(ValueError, match="expected a file with the sha256 0000"):
        KeptFiles(tmp_path / "kept").take(received, "0" * 64)


def test_a_placed_model_stays_whole_when_its_files_are_forgotten(tmp_path: Path) -> None:
    folder = KeptFiles(tmp_path / "kept")
    graph, weights = kept(folder, tmp_path, b"graph"), kept(folder, tmp_path, b"weights")
    model = folder.place(graph, [weights], {}, tmp_path / "model")
    folder.forget([graph, weights])
    assert (model.read_bytes(), (model.parent / weights).read_bytes()) == (b"graph", b"weights")
    with pytest.raises(FileNotFoundError):
        folder.place(graph, [], {}, tmp_path / "again")


def test_what_was_not_used_for_long_goes(tmp_path: Path) -> None:
    folder = KeptFiles(tmp_path / "kept")
    old, used = kept(folder, tmp_path, b"old"), kept(folder, tmp_path, b"used")
    past = time.time() - KEPT_S - 60
    for digest in (old, used):
        os.utime(tmp_path / "kept" / digest, (past, past))
    left, at_work = folder.work_folder(), folder.work_folder()
    os.utime(left, (0, 0))
    assert folder.has(used)
    folder.clean()
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {used, at_work.name}


def test_the_least_recently_used_go_where_there_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    folder = KeptFiles(tmp_path / "kept")
    digests = [kept(folder, tmp_path, content) for content in (b"aaaaaa", b"bbbbb", b"ccccc")]
    for age, digest in zip((30, 20, 10), digests, strict=True):
        os.utime(tmp_path / "kept" / digest, (time.time() - age, time.time() - age))
    folder.clean()
    assert [folder.has(digest) for digest in digests] == [False, True, True]


@pytest.mark.parametrize("kind", ["link", "open to others"])
def test_a_folder_that_somebody_else_may_have_made_is_refused(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "kept"
    if kind == "link":
        root.symlink_to(tmp_path)
    else:
        root.mkdir()
        root.chmod(0o777)
    with pytest.raises(MeasurementInterrupted, match="expected a folder that belongs to this user"):
        KeptFiles(root)
