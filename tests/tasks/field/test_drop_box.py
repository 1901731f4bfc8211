"""The drop box: what a run opens of it is bounded, and nothing in it is followed, waited for or read whole."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.reports import MOST_REPORT_BYTES
from tasks.errors import DropBoxError
from tasks.field import BoxLimits, ReportBox, name_of
from tasks.field import drop_box as module

DEVICE = "a" * 64


@pytest.fixture
def folder(box: Path) -> Path:
    """The folder of a device."""
    (box / DEVICE).mkdir()
    return box / DEVICE


def put(folder: Path, *numbers: int) -> None:
    for number in numbers:
        (folder / name_of(number)).write_bytes(b"{}")


@pytest.mark.parametrize(("made", "got"), [(Path.touch, "a file"), (lambda _: None, "nothing there")])
def test_a_box_is_a_folder(tmp_path: Path, made: Callable[[Path], None], got: str) -> None:
    made(tmp_path / "no-box")
    with pytest.raises(DropBoxError, match=f"expected a folder with the reports of devices, .* got {got}; name"):
        ReportBox(tmp_path / "no-box")


def test_a_device_that_has_put_nothing_there_has_nothing_waiting(box: Path) -> None:
    assert ReportBox(box).waiting(DEVICE, (), 0) == module.Waiting()


def test_new_reports_come_in_the_order_of_their_numbers_and_known_ones_after_them(box: Path, folder: Path) -> None:
    put(folder, 12, 3, 7, 1)
    waiting = ReportBox(box).waiting(DEVICE, {1, 7, 99}, 0)
    assert (waiting.new, waiting.known, waiting.left, waiting.strange) == ((3, 12), (7, 1), 0, 0)


def test_other_names_are_counted_and_never_opened(box: Path, folder: Path) -> None:
    put(folder, 1)
    for name in ("1.json", "000000000000.json", "000000000002.json.part", "0000000000003.json", "notes", "x" * 200):
        (folder / name).touch()
    (folder / ".000000000004.json.tmp").touch()  # a server's unfinished file
    waiting = ReportBox(box).waiting(DEVICE, (), 0)
    assert (waiting.new, waiting.strange) == ((1,), 6)


def test_a_run_opens_a_bounded_number_and_the_next_one_goes_on_behind_it(box: Path, folder: Path) -> None:
    put(folder, *range(1, 8))
    limited = ReportBox(box, BoxLimits(files=3))
    first = limited.waiting(DEVICE, (), 0)
    assert (first.new, first.left, first.known) == ((1, 2, 3), 4, ())
    second = limited.waiting(DEVICE, (), first.new[-1])  # none of them was taken: they do not keep the others waiting
    assert (second.new, second.left) == ((4, 5, 6), 4)
    assert limited.waiting(DEVICE, (), second.new[-1]).new == (7, 1, 2)
    assert limited.waiting(DEVICE, {1, 2, 3, 4, 5}, 0).known == (5,)


def test_a_folder_with_more_names_than_a_run_looks_at_is_told(box: Path, folder: Path) -> None:
    put(folder, *range(1, 31))
    waiting = ReportBox(box, BoxLimits(names=10)).waiting(DEVICE, (), 0)
    assert len(waiting.new) == 10 and not waiting.is_whole
    assert ReportBox(box, BoxLimits(names=30)).waiting(DEVICE, (), 0).is_whole


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def one_byte_too_many(path: Path) -> None:
    path.write_bytes(b" " * (MOST_REPORT_BYTES + 1))


@pytest.mark.parametrize(("made", "size"), [(sparse, 1 << 40), (one_byte_too_many, MOST_REPORT_BYTES + 1)])
def test_a_file_that_is_too_large_is_refused_by_its_size(
    box: Path, folder: Path, made: Callable[[Path], None], size: int
) -> None:
    made(folder / name_of(1))
    with pytest.raises(DropBoxError, match=f"expected at most 65,536 bytes, got {size:,}; not read"):
        ReportBox(box).read(DEVICE, 1)


def test_a_file_of_the_largest_size_is_read(box: Path, folder: Path) -> None:
    (folder / name_of(1)).write_bytes(b" " * MOST_REPORT_BYTES)
    assert ReportBox(box).read(DEVICE, 1) == b" " * MOST_REPORT_BYTES


def a_link(path: Path) -> None:
    (path.parents[2] / "secret").write_text("{}")
    path.symlink_to(path.parents[2] / "secret")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(path.parent)  # the path of a socket is short
        listening.bind(path.name)


@pytest.mark.parametrize("made", [a_link, a_socket, os.mkfifo, Path.mkdir])
def test_what_is_no_regular_file_is_refused_at_once(
    box: Path, folder: Path, made: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(box)  # back at the end
    made(folder / name_of(1))
    assert os.path.lexists(folder / name_of(1))
    with pytest.raises(DropBoxError, match="expected a regular file that can be read, got"):
        ReportBox(box).read(DEVICE, 1)


def test_a_folder_that_is_a_link_is_not_followed(box: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    put(tmp_path / "elsewhere", 1)
    (box / DEVICE).symlink_to(tmp_path / "elsewhere")
    for ask in (lambda: ReportBox(box).waiting(DEVICE, (), 0), lambda: ReportBox(box).read(DEVICE, 1)):
        with pytest.raises(DropBoxError, match=r"expected a folder a+, got a link or a file"):
            ask()


def test_a_report_that_is_gone_is_none(box: Path, folder: Path) -> None:
    assert folder.is_dir()
    assert ReportBox(box).read(DEVICE, 1) is None


def test_folders_of_keys_that_nobody_enrolled_are_counted_up_to_a_bound(box: Path) -> None:
    for name in ("a" * 64, "b" * 64, "c" * 64, "lost+found", "A" * 64):
        (box / name).mkdir()
    assert ReportBox(box).strangers({"b" * 64}) == 2
    assert ReportBox(box, BoxLimits(folders=1)).strangers(()) <= 1
