import logging
import os
import threading
from pathlib import Path

import pytest

from edge_runtime.bundle import BundleError, read_bundle
from edge_runtime.bundle import writer as bundle_writer
from edge_runtime.files import make_directories
from edge_runtime.model_files import model_files
from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.models import portable_model


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_bundle_lies_under_model_device_and_digest(tmp_path: Path, model: Path) -> None:
    path = write(tmp_path / "target", model)
    assert path == tmp_path / "target" / "linear" / "gateway" / read_bundle(path).digest
    assert _names(path.parent) == [path.name]


def test_the_same_content_has_the_same_digest_in_every_target(tmp_path: Path, model: Path) -> None:
    assert write(tmp_path / "one", model).name == write(tmp_path / "two", model).name
    assert write(tmp_path / "one", model, version="4").name != write(tmp_path / "one", model).name


def test_two_names_for_one_content_share_a_blob(tmp_path: Path, model: Path) -> None:
    path = write(tmp_path, model, files={"model.onnx": model, "copy.onnx": model})
    assert len(list((path / "blobs").iterdir())) == 1
    assert read_bundle(path).blob_path("copy.onnx") == read_bundle(path).entry_path


def test_writing_again_changes_nothing(tmp_path: Path, model: Path) -> None:
    path = write(tmp_path, model)
    before = {file: file.stat().st_ino for file in path.rglob("*")}
    assert write(tmp_path, model) == path
    assert {file: file.stat().st_ino for file in path.rglob("*")} == before


def test_a_damaged_bundle_is_replaced_by_an_intact_one_and_logged(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, model)
    blob = read_bundle(path).entry_path
    blob.chmod(0o644)
    with blob.open("r+b") as damaged:
        damaged.write(b"????")
    inode = path.stat().st_ino
    with caplog.at_level(logging.WARNING):
        assert write(tmp_path, model) == path
    assert read_bundle(path).entry_path.read_bytes() == model.read_bytes()
    assert path.stat().st_ino != inode
    assert "damaged" in caplog.text
    assert _names(path.parent) == [path.name]


def test_leftovers_of_the_same_device_are_removed(tmp_path: Path, model: Path) -> None:
    device = tmp_path / "linear" / "gateway"
    (device / ".tmp-killed" / "blobs").mkdir(parents=True)
    (device / ".tmp-killed" / "blobs" / "part").write_bytes(b"half")
    (device / ".tmp-file").write_bytes(b"")
    path = write(tmp_path, model)
    assert _names(device) == [path.name]


@pytest.mark.parametrize("field", ["model", "device"])
def test_a_name_cannot_leave_the_target(tmp_path: Path, model: Path, field: str) -> None:
    with pytest.raises(BundleError, match="cannot be part of a path"):
        write(tmp_path / "target", model, **{field: "../outside"})
    assert _names(tmp_path) == [model.name]


def test_a_missing_file_is_named(tmp_path: Path, model: Path) -> None:
    with pytest.raises(BundleError, match=r"absent\.onnx"):
        write(tmp_path, model, files={"model.onnx": tmp_path / "absent.onnx"})


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change_then_make(path: Path) -> None:
        model.write_bytes(b"x" * model.stat().st_size)
        make_directories(path)

    monkeypatch.setattr(bundle_writer, "make_directories", change_then_make)
    with pytest.raises(BundleError, match="changed while it was published"):
        write(tmp_path, model)
    assert _names(tmp_path / "linear" / "gateway") == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(tmp_path, model)

    def full(_source: Path, target: Path) -> str:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(bundle_writer, "copy_synced", full)
    with pytest.raises(BundleError, match="No space left on device"):
        write(tmp_path, model, version="4")
    assert _names(before.parent) == [before.name]


def test_content_is_synced_before_the_rename_and_the_parent_after(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "linear" / "gateway"
    device.mkdir(parents=True)
    events: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append("fsync " + ("device" if path == device else "bundle" if path.parent == device else path.name))
        fsync(descriptor)

    def noted_rename(source: Path, target: Path) -> None:
        events.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    path = write(tmp_path, model)
    blob = read_bundle(path).entry_path.name
    assert events == [
        f"fsync {blob}",
        "fsync manifest.json",
        "fsync blobs",
        "fsync bundle",
        "rename",
        "fsync device",
    ]


def test_two_writers_do_not_remove_each_others_work(tmp_path: Path, model: Path) -> None:
    failures: list[BaseException] = []

    def write_version(version: str) -> None:
        try:
            write(tmp_path, model, version=version)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write_version, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    written = _names(tmp_path / "linear" / "gateway")
    assert sorted(read_bundle(tmp_path / "linear" / "gateway" / name).manifest.version for name in written) == sorted(
        str(number) for number in range(8)
    )


def test_weights_that_the_graph_names_are_not_left_out(tmp_path: Path) -> None:
    graph = portable_model(tmp_path / "model")
    with pytest.raises(BundleError, match="names weights that are no blobs of this manifest"):
        write(tmp_path / "target", graph)
    assert not list((tmp_path / "target").rglob("manifest.json"))


def test_two_bundles_share_no_file(tmp_path: Path) -> None:
    """A block that goes bad in one bundle must not take the bundle before it."""
    files = model_files(portable_model(tmp_path / "model", 64, 32))
    one, other = (write(tmp_path / "target", tmp_path, files=files, version=version) for version in ("1", "2"))
    inodes = [{path.stat().st_ino for path in (each / "blobs").iterdir()} for each in (one, other)]
    assert len(inodes[0] | inodes[1]) == 4
