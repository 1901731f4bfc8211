"""The file with the figures of what serves: who may write it, and who is known to be gone."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.statistics import SERVED, ServedFile, ServedModel, ServingRecord
from tests.edge_runtime.homes import ROOT
from tests.edge_runtime.reports.made_reports import served

RECORD = ServingRecord(7, "2026-11-27T22:01:45Z", (ServedModel("camera", "7", "c" * 64, ready=True, figures=served()),))
_HOLDER = """
import sys
from pathlib import Path
from edge_runtime.statistics import ServedFile
assert ServedFile(Path(sys.argv[1])).hold()
print("held", flush=True)
sys.stdin.read()
"""


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = ServedFile(tmp_path)
    assert file.hold() and file.hold()
    file.write(RECORD)
    assert ServedFile(tmp_path).read() == RECORD
    file.remove()
    assert ServedFile(tmp_path).read() is None


def test_one_process_writes_and_another_knows_that_it_is_at_work(tmp_path: Path) -> None:
    first, second = ServedFile(tmp_path), ServedFile(tmp_path)
    assert first.hold() and not second.hold()
    first.let_go()
    first.let_go()
    assert second.hold()
    second.let_go()


def test_a_process_that_was_killed_is_known_to_be_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        file = ServedFile(tmp_path)
        assert not file.hold()
        holder.kill()
        holder.wait(60)
        assert file.hold()
        file.let_go()


def test_the_lock_of_another_user_is_seen_and_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, other = ServedFile(tmp_path), ServedFile(tmp_path)
    assert owner.hold()
    real, fired = os.open, []

    def not_for_writing(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_RDWR:
            fired.append(path)
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", not_for_writing)
    assert not other.hold()
    owner.let_go()
    assert other.hold() and len(fired) == 2
    other.let_go()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"pid": 1, "written": "x", "models": []}'])
def test_a_file_that_cannot_be_read_counts_as_none(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / SERVED).mkdir()
    (tmp_path / SERVED / "served.json").write_bytes(content)
    with caplog.at_level(logging.WARNING, "edgewright"):
        assert ServedFile(tmp_path).read() is None
    assert "served.json cannot be read" in caplog.text


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / SERVED).mkdir()
    (tmp_path / "elsewhere").write_bytes(b"{}")
    (tmp_path / SERVED / "served.json").symlink_to(tmp_path / "elsewhere")
    (tmp_path / SERVED / "served.lock").symlink_to(tmp_path / "elsewhere")
    assert ServedFile(tmp_path).read() is None
    with pytest.raises(OSError, match="link"):
        ServedFile(tmp_path).hold()


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ServedFile(tmp_path)
    file.hold()
    file.write(RECORD)
    fired = []

    def failing(*_: object) -> None:
        fired.append("replace")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="space"):
        file.write(RECORD)
    assert fired == ["replace"] and file.read() == RECORD
    assert sorted(path.name for path in (tmp_path / SERVED).iterdir()) == ["served.json", "served.lock"]
    file.let_go()
