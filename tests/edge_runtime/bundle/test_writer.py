import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle import Blob, BundleError, only_writer, read_bundle, write_bundle
from edge_runtime.bundle import writer as bundle_writer
from edge_runtime.files import make_directories, sha256_of
from edge_runtime.model_files import model_files
from tests.edge_runtime.bundle.linear import described, write
from tests.edge_runtime.bundle.listing import bundles_in, manifests_in
from tests.edge_runtime.models import linear_model, portable_model


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _inodes(root: Path) -> dict[Path, int]:
    return {file: file.stat().st_ino for file in root.rglob("*")}


def test_the_bundle_lies_under_model_device_and_digest(tmp_path: Path, model: Path) -> None:
    path = write(tmp_path / "target", model)
    read = read_bundle(path)
    assert path == tmp_path / "target" / "targets" / "linear" / "gateway" / f"{read.digest}.manifest.json"
    assert _names(path.parent) == [path.name]
    assert _names(tmp_path / "target") == ["blobs", "targets"]
    assert _names(tmp_path / "target" / "blobs") == [sha256_of(model)]
    assert {file.stat().st_mode & 0o777 for file in (path, read.entry_path)} == {0o444}


def test_the_same_content_has_the_same_digest_in_every_target(tmp_path: Path, model: Path) -> None:
    assert write(tmp_path / "one", model).name == write(tmp_path / "two", model).name
    assert write(tmp_path / "one", model, version="4").name != write(tmp_path / "one", model).name


def test_two_names_for_one_content_share_a_blob(tmp_path: Path, model: Path) -> None:
    path = write(tmp_path, model, files={"model.onnx": model, "copy.onnx": model})
    assert len(_names(tmp_path / "blobs")) == 1
    assert read_bundle(path).blob_path("copy.onnx") == read_bundle(path).entry_path


def test_writing_again_changes_nothing(tmp_path: Path, model: Path) -> None:
    path = write(tmp_path / "target", model)
    before = _inodes(tmp_path / "target")
    assert write(tmp_path / "target", model) == path
    assert _inodes(tmp_path / "target") == before


def test_bundles_share_their_blobs(tmp_path: Path) -> None:
    files = model_files(portable_model(tmp_path / "model", 64, 32))
    one = write(tmp_path / "target", tmp_path, files=files)
    before = _inodes(tmp_path / "target" / "blobs")
    others = [write(tmp_path / "target", tmp_path, files=files, **change)
              for change in ({"version": "2"}, {"device": "camera"}, {"model": "another"})]  # fmt: skip
    assert len(before) == len(files) and _inodes(tmp_path / "target" / "blobs") == before
    assert len({read_bundle(path).digest for path in (one, *others)}) == 4


def test_a_damaged_blob_is_replaced_by_an_intact_one_for_every_bundle_and_logged(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, other = write(tmp_path, model), write(tmp_path, model, device="camera")
    blob = read_bundle(path).entry_path
    blob.chmod(0o644)
    with blob.open("r+b", buffering=0) as damaged:
        damaged.write(b"????")
        with caplog.at_level(logging.WARNING):
            assert write(tmp_path, model) == path
        damaged.seek(0)
        assert damaged.read(4) == b"????"  # whoever has it open keeps what it opened
    assert read_bundle(path).entry_path.read_bytes() == model.read_bytes()
    assert read_bundle(other).manifest.device == "camera"
    assert f"damaged blob {blob.name}" in caplog.text
    assert _names(tmp_path / "blobs") == [blob.name]


@pytest.mark.parametrize("data", [b"", b"{}", None])
def test_a_damaged_manifest_is_replaced_by_an_intact_one(tmp_path: Path, model: Path, data: bytes | None) -> None:
    path = write(tmp_path, model)
    path.unlink()
    if data is None:
        path.symlink_to(model)
    else:
        path.write_bytes(data)
    assert write(tmp_path, model) == path
    assert read_bundle(path).manifest.version == "3" and not path.is_symlink()


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path, model: Path) -> None:
    path = write(tmp_path, model)
    for folder in (tmp_path / "blobs", path.parent):
        (folder / ".tmp-killed").write_bytes(b"half")
    write(tmp_path, model)
    assert _names(path.parent) == [path.name] and len(_names(tmp_path / "blobs")) == 1


@pytest.mark.parametrize("field", ["model", "device"])
def test_a_name_cannot_leave_the_target(tmp_path: Path, model: Path, field: str) -> None:
    change: dict[str, Any] = {field: "../outside"}
    with pytest.raises(BundleError, match="cannot be part of a path"):
        write(tmp_path / "target", model, **change)
    assert _names(tmp_path) == [model.name]


def test_a_missing_file_is_named(tmp_path: Path, model: Path) -> None:
    with pytest.raises(BundleError, match=r"absent\.onnx"):
        write(tmp_path, model, files={"model.onnx": tmp_path / "absent.onnx"})
    manifest = described({"model.onnx": model, "golden.npz": model}, documents=(Blob("sbom.json", "a" * 64, 3),))
    with pytest.raises(BundleError, match=r"needs the files \['golden.npz', 'sbom.json'\] too"):
        write_bundle(tmp_path / "target", manifest, {"model.onnx": model})
    assert not (tmp_path / "target").exists()


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change_then_make(path: Path) -> None:
        model.write_bytes(b"x" * model.stat().st_size)
        make_directories(path)

    monkeypatch.setattr(bundle_writer, "make_directories", change_then_make)
    with pytest.raises(BundleError, match="changed while it was published"):
        write(tmp_path, model)
    assert manifests_in(tmp_path) == [] and _names(tmp_path / "blobs") == []


@pytest.mark.parametrize("point", ["copy_synced", "write_synced"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    target = tmp_path / "target"
    write(target, model)
    before, another, fired = _inodes(target), linear_model(tmp_path / "another.onnx", 8, 5), list[str]()

    def full(*given: Any) -> str:
        fired.append(point)
        Path(given[1] if point == "copy_synced" else given[0]).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_writer, point, full)
    with pytest.raises(BundleError, match="No space left on device"):
        write(target, another if point == "copy_synced" else model, version="4")
    assert fired == [point] and _inodes(target) == before


@pytest.mark.parametrize("made_before", [False, True])
def test_all_that_a_manifest_needs_is_durable_before_it_appears(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, made_before: bool
) -> None:
    """The names on the way to it too, also where another made a folder and died before that was durable."""
    if made_before:
        write(tmp_path, model, version="0")
        (tmp_path / "blobs" / sha256_of(model)).unlink()
    events: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append(f"fsync {path.relative_to(tmp_path).as_posix() if path.is_dir() else 'file'}")
        fsync(descriptor)

    def noted_rename(source: Path, target: Path) -> Path:
        events.append("blob" if target.parent.name == "blobs" else "manifest")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_rename)
    write(tmp_path, model)
    blob, manifest = events.index("blob"), events.index("manifest")
    assert events[blob - 1] == events[manifest - 1] == "fsync file"
    assert events[blob + 1] == "fsync blobs" and events[manifest + 1 :] == ["fsync targets/linear/gateway"]
    assert {"fsync .", "fsync targets", "fsync targets/linear"} <= set(events[:manifest])


def test_writers_do_not_remove_each_others_work(tmp_path: Path) -> None:
    """Each has a file of its own, half of them for another device."""
    failures: list[BaseException] = []
    graphs = [linear_model(tmp_path / f"{number}.onnx", 8, number + 1) for number in range(8)]

    def write_version(number: int) -> None:
        try:
            write(tmp_path / "target", graphs[number], version=str(number), device=f"device-{number % 2}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write_version, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(bundle.manifest.version for bundle in bundles_in(tmp_path / "target")) == list("01234567")
    assert len(_names(tmp_path / "target" / "blobs")) == 8


def test_a_writer_waits_for_another(tmp_path: Path, model: Path) -> None:
    write(tmp_path, model)
    with ThreadPoolExecutor(1) as pool:
        with only_writer(tmp_path):
            waiting = pool.submit(write, tmp_path, model, device="camera")
            wait([waiting], timeout=0.3)
            assert not waiting.done() and len(manifests_in(tmp_path)) == 1
        assert waiting.result(30) in manifests_in(tmp_path)


def test_weights_that_the_graph_names_are_not_left_out(tmp_path: Path) -> None:
    graph = portable_model(tmp_path / "model")
    with pytest.raises(BundleError, match="names weights that are no blobs of this manifest"):
        write(tmp_path / "target", graph)
    assert manifests_in(tmp_path / "target") == []
