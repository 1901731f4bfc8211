"""Exports: whole or not at all, in a place where nothing is."""

import fcntl
import os
import signal
from pathlib import Path

import pytest

from tasks.delivery.export import CarriedRelease, FormOptions, export_release, form_of
from tasks.errors import PublishError, SystemFailure
from tests.edge_runtime.device.operated_device import OperatedDevice
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.tasks.delivery.export.offering import Offering

FOLDER = form_of("dir", FormOptions())


def test_a_folder_is_exported_whole(offering: Offering, device: OperatedDevice, tmp_path: Path) -> None:
    made = export_release(offering.repository(), MODEL, DEVICE, FOLDER, tmp_path / "stick")
    assert made.path == tmp_path / "stick" and made.manifest.version == "1"
    assert made.size == sum(path.stat().st_size for path in made.path.rglob("*") if path.is_file())
    timestamp = offering.repository().reader.state().timestamp.best
    assert timestamp is not None and made.expires == timestamp.signed.expires
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "stick"]
    assert device.trusts(made.path) == made.digest


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_nothing_is_overwritten(offering: Offering, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "stick"
    if kind == "folder":
        out.mkdir()
    elif kind == "file":
        out.touch()
    else:
        out.symlink_to("nowhere")
    with pytest.raises(PublishError, match="expected a path where nothing is"):
        export_release(offering.repository(), MODEL, DEVICE, FOLDER, out)


def test_a_place_that_is_not_there_is_said(offering: Offering, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"expected a folder to export into, got none; make it, or mount it"):
        export_release(offering.repository(), MODEL, DEVICE, FOLDER, tmp_path / "media" / "stick")


class FailingForm:
    """A form that fails when everything is there already."""

    def __init__(self) -> None:
        self.was_there = False

    def check(self) -> None:
        """Find nothing missing."""

    def make(self, release: CarriedRelease, scratch: Path) -> Path:
        self.was_there = release.folder.is_relative_to(scratch) and any(release.files())
        raise OSError(28, "No space left on device")


def test_a_form_that_fails_leaves_nothing(offering: Offering, tmp_path: Path) -> None:
    form = FailingForm()
    with pytest.raises(SystemFailure, match=r"expected to write it, got .*No space left"):
        export_release(offering.repository(), MODEL, DEVICE, form, tmp_path / "stick")
    assert form.was_there
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


class WaitingForm:
    """A form that says when everything is there but its place, and then waits for ever."""

    def __init__(self, said: int) -> None:
        self.said = said

    def check(self) -> None:
        """Find nothing missing."""

    def make(self, release: CarriedRelease, scratch: Path) -> Path:
        os.write(self.said, b"half" if release.folder.is_relative_to(scratch) else b"else")
        signal.pause()
        return release.folder


def test_what_a_killed_export_left_is_removed_by_the_next_one(offering: Offering, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            export_release(offering.repository(), MODEL, DEVICE, WaitingForm(writing), tmp_path / "stick")
        finally:
            os._exit(1)
    os.close(writing)
    try:
        assert os.read(reading, 4) == b"half"
        (left,) = tmp_path.glob(".edgewright-export-*")
        os.utime(left, (0, 0))
        export_release(offering.repository(), MODEL, DEVICE, FOLDER, tmp_path / "beside")
        assert left.is_dir(), "the scratch folder of a living export was removed"
        os.utime(left, (0, 0))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
    assert left.is_dir() and not (tmp_path / "stick").exists()
    export_release(offering.repository(), MODEL, DEVICE, FOLDER, tmp_path / "stick")
    assert not left.exists() and (tmp_path / "stick").is_dir()


def test_a_young_scratch_folder_stays_as_its_maker_may_not_hold_it_yet(offering: Offering, tmp_path: Path) -> None:
    young = tmp_path / ".edgewright-export-young"
    young.mkdir()
    export_release(offering.repository(), MODEL, DEVICE, FOLDER, tmp_path / "stick")
    descriptor = os.open(young, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_an_unknown_form_and_options_of_another_one_are_refused() -> None:
    with pytest.raises(PublishError, match="expected one of dir, mender"):
        form_of("rauc", FormOptions())
    with pytest.raises(PublishError, match="expected neither --device-type"):
        form_of("dir", FormOptions(("gateway",)))
    with pytest.raises(PublishError, match="expected --device-type"):
        form_of("mender", FormOptions())
