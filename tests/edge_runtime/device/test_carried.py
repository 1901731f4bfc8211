"""Carried folders and archives: what is installed from them, and what hostile ones come to."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from edge_runtime.bundle import decode_manifest
from edge_runtime.device.carried import MOST_FILES, CarriedArchive, CarriedFolder, open_carried
from edge_runtime.errors import InstallError, UpdateError
from edge_runtime.install import DeviceStore
from edge_runtime.trust import NotThere
from tests.edge_runtime.device.carrying import CarriedRepository
from tests.edge_runtime.install.carried import DEVICE, MODEL


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as made:
        for entry, content in members:
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, to
    return made


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_every_file_is_found_in_both_forms(carried: CarriedRepository, tmp_path: Path, form: str) -> None:
    path = carried.root if form == "folder" else carried.packed(tmp_path / "carried.tar")
    store = DeviceStore(tmp_path / "store", DEVICE)
    (store.root / "blobs").mkdir(parents=True)
    with open_carried(path) as opened:
        assert isinstance(opened, CarriedFolder if form == "folder" else CarriedArchive)
        assert opened.models(DEVICE) == [MODEL] and opened.models("other") == []
        for file in (path for path in carried.root.rglob("*") if path.is_file()):
            assert opened.fetch(str(file.relative_to(carried.root)), 1 << 20) == file.read_bytes()
        assert (
            opened.fetch("metadata/timestamp.json", 10) == (carried.root / "metadata/timestamp.json").read_bytes()[:11]
        )
        with pytest.raises(NotThere):
            opened.fetch("metadata/9.root.json", 10)
        (written,) = (carried.root / "targets" / MODEL / DEVICE).iterdir()
        manifest = decode_manifest(written.read_bytes())
        for blob in manifest.blobs:
            opened.bring(blob, manifest, store)
            assert store.part_path(blob.sha256).read_bytes() == (carried.root / "blobs" / blob.sha256).read_bytes()


def test_an_archive_is_installed_and_writes_nothing_but_the_state(carried: CarriedRepository, tmp_path: Path) -> None:
    path = carried.packed(tmp_path / "carried.tar")
    with tarfile.open(path, "a") as more:
        for name in ("../escaped", str(tmp_path / "escaped"), "blobs/../../escaped"):
            more.addfile(entry(name))
        more.addfile(entry("link", tarfile.SYMTYPE, "/etc"))
    before = {each.name for each in tmp_path.iterdir()}
    said = carried.device.run("install", path)
    assert (said.returncode, said.stderr) == (0, "")
    assert "camera: release 1, version 1" in said.stdout
    assert {each.name for each in tmp_path.iterdir()} == before | {"device"}
    assert {each.name for each in carried.device.folder.iterdir()} == {"device.toml", "root.json", "state"}


def test_links_of_an_archive_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    path = archive(
        tmp_path / "a.tar",
        (entry("metadata/timestamp.json", tarfile.SYMTYPE, str(tmp_path / "secret")), b""),
        (entry("metadata/1.root.json", tarfile.LNKTYPE, "blobs/x"), b""),
        (entry("blobs/x"), b"content"),
    )
    with open_carried(path) as opened:
        for name in ("metadata/timestamp.json", "metadata/1.root.json"):
            with pytest.raises(NotThere):
                opened.fetch(name, 100)


def test_of_two_files_of_one_name_the_first_counts(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", (entry("blobs/x"), b"first"), (entry("./blobs/x"), b"second"))
    with open_carried(path) as opened:
        assert opened.fetch("blobs/x", 100) == b"first"


def test_an_archive_that_is_cut_short_is_an_error_of_its_own(carried: CarriedRepository, tmp_path: Path) -> None:
    path = carried.packed(tmp_path / "carried.tar")
    whole = path.read_bytes()
    ended = set()
    for length in (0, 100, 700, len(whole) // 3, len(whole) // 2, len(whole) - 12000):
        path.write_bytes(whole[:length])
        try:
            with open_carried(path) as opened:
                for file in (each for each in carried.root.rglob("*") if each.is_file()):
                    opened.fetch(str(file.relative_to(carried.root)), 1 << 20)
        except (UpdateError, InstallError) as error:
            assert str(path) in str(error)
            ended.add(type(error))
        else:
            raise AssertionError(f"{length} bytes were taken for the whole")
    assert len(ended) > 1


@pytest.mark.parametrize("content", [b"", b"no archive" * 200, b"\x1f\x8b" + b"\0" * 600])
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(UpdateError, match="or a tar archive that is not compressed"), open_carried(path) as opened:
        assert opened.fetch("metadata/timestamp.json", 10)


def test_what_is_not_there_or_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path / "missing", Path("/dev/null")):
        with pytest.raises(UpdateError, match="expected a folder or a tar archive"), open_carried(path):
            raise AssertionError


def test_an_archive_of_countless_files_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", *((entry(f"blobs/{number}"), b"") for number in range(MOST_FILES + 1)))
    with pytest.raises(UpdateError, match=f"more than {MOST_FILES} files"), open_carried(path):
        raise AssertionError


def test_a_blob_that_is_missing_is_named(carried: CarriedRepository, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        for part in ("metadata", "targets"):
            made.add(carried.root / part, part)
    said = carried.device.run("install", tmp_path / "a.tar")
    assert said.returncode == 4 and "expected the blob" in said.stderr and "carry it again, whole" in said.stderr
    assert carried.device.runs().current is None


def test_what_was_carried_for_others_is_said(carried: CarriedRepository) -> None:
    (carried.root / "targets" / MODEL / DEVICE).rename(carried.root / "targets" / MODEL / "kiosk")
    said = carried.device.run("install", carried.root)
    assert said.returncode == 4
    assert f"expected a release for {DEVICE} of {MODEL}, got none" in said.stderr


def test_a_device_with_two_models_installs_the_one_that_was_carried(tmp_path: Path) -> None:
    carried = CarriedRepository(tmp_path, (MODEL, "brakes"))
    carried.offer(2, "brakes")
    said = carried.device.run("install", carried.root)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines()[0] == f"{MODEL}: nothing of it was carried here"
    assert said.stdout.splitlines()[1].startswith("brakes: release 2, version 2")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_an_archive_of_headers_in_headers_is_refused(tmp_path: Path, kind: bytes) -> None:
    header = entry("././@LongLink", kind)
    header.size = 14
    content = b"14 path=abcde\n".ljust(tarfile.BLOCKSIZE, b"\0")
    (tmp_path / "a.tar").write_bytes((header.tobuf(tarfile.USTAR_FORMAT) + content) * 3000)
    with pytest.raises(UpdateError, match="recursion"), open_carried(tmp_path / "a.tar"):
        raise AssertionError


def test_what_is_not_plugged_in_is_unreachable(carried: CarriedRepository, tmp_path: Path) -> None:
    said = carried.device.run("install", tmp_path / "stick")
    assert said.returncode == 5 and "see whether it is mounted" in said.stderr
