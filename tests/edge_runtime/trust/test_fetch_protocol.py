"""A repository in a folder: read file by file, no further than asked, and never through a link."""

import os
from pathlib import Path

import pytest

from edge_runtime.trust import NotThere, UpdateError, folder_fetch


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    folder = tmp_path / "carried"
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "timestamp.json").write_bytes(b"0123456789")
    return folder


def test_a_file_is_read_whole_or_one_byte_beyond_the_bound(carried: Path) -> None:
    fetch = folder_fetch(carried)
    assert fetch("metadata/timestamp.json", 10) == b"0123456789"
    assert fetch("metadata/timestamp.json", 3) == b"0123"


@pytest.mark.parametrize("path", ["metadata/2.root.json", "targets/m/d/x.json", "metadata/timestamp.json/x"])
def test_a_file_that_is_not_there_is_not_there(carried: Path, path: str) -> None:
    with pytest.raises(NotThere, match=f"has no {path}; copy all"):
        folder_fetch(carried)(path, 10)


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../secret", "metadata/../../secret", "metadata//x", "./metadata", "a\0b", "a\nb"]
)
def test_a_path_that_leads_out_of_the_folder_is_refused(carried: Path, path: str) -> None:
    (carried.parent / "secret").write_bytes(b"secret")
    with pytest.raises(UpdateError, match="needs a path such as"):
        folder_fetch(carried)(path, 10)


def test_links_fifos_and_folders_are_refused(carried: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (carried / "metadata" / "link.json").symlink_to(tmp_path / "secret")
    (carried / "linked").symlink_to(carried / "metadata")
    os.mkfifo(carried / "metadata" / "fifo.json")
    (carried / "metadata" / "folder.json").mkdir()
    fetch = folder_fetch(carried)
    for path in ("metadata/link.json", "linked/timestamp.json", "metadata/fifo.json", "metadata/folder.json"):
        with pytest.raises(UpdateError, match="must be a regular file that can be read") as caught:
            fetch(path, 10)
        assert not isinstance(caught.value, NotThere)


def test_the_folder_itself_may_be_reached_through_a_link(carried: Path, tmp_path: Path) -> None:
    (tmp_path / "stick").symlink_to(carried)
    assert folder_fetch(tmp_path / "stick")("metadata/timestamp.json", 10) == b"0123456789"
