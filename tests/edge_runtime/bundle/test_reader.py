import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import (
    BundleError,
    RuntimeRange,
    blobs_of,
    encode_manifest,
    identify_bundle,
    manifest_path,
    manifests_of,
    read_bundle,
    verify_bundle,
    write_bundle,
)
from edge_runtime.files import sha256_of
from edge_runtime.model_files import model_digest
from edge_runtime.onnxruntime_packages import onnxruntime_version
from edge_runtime.session import EdgeModel
from tests.edge_runtime.bundle.linear import described, write
from tests.edge_runtime.models import weights


def _blob(bundle: Path) -> Path:
    (blob,) = (bundle.parents[3] / "blobs").iterdir()
    blob.chmod(0o644)
    return blob


def renamed(bundle: Path, data: bytes, folder: Path | None = None) -> Path:
    """Put a manifest in a bundle's place, under the name that fits it, so that only the content is wrong."""
    bundle.unlink()
    path = (folder or bundle.parent) / f"{hashlib.sha256(data).hexdigest()}.manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_an_intact_bundle_is_read(bundle: Path, model: Path, tmp_path: Path) -> None:
    read = read_bundle(bundle)
    assert read.path == bundle.resolve()
    assert bundle.name == f"{read.digest}.manifest.json" and read.digest == sha256_of(bundle)
    assert read.manifest.lineage == {"source_model": "digits", "source_version": "3"}
    assert read.root == tmp_path / "target"
    assert read.entry_path == tmp_path / "target" / "blobs" / sha256_of(model)
    assert read.entry_path.read_bytes() == model.read_bytes()


def test_a_folder_of_bundles_may_be_copied_and_a_bundle_linked_to(bundle: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(tmp_path / "target", tmp_path / "device") / bundle.relative_to(tmp_path / "target")
    (tmp_path / "current").symlink_to(copied)
    assert read_bundle(tmp_path / "current").path == copied


def test_an_unknown_blob_is_named(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"no blob 'head\.onnx'"):
        read_bundle(bundle).blob_path("head.onnx")


def test_a_folder_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        read_bundle(tmp_path)


def test_a_renamed_bundle_is_refused(bundle: Path) -> None:
    for name in (f"{'0' * 64}.manifest.json", "manifest.json", bundle.name.removesuffix(".manifest.json")):
        bundle = bundle.rename(bundle.with_name(name))
        with pytest.raises(BundleError, match="damaged or renamed"):
            read_bundle(bundle)


@pytest.mark.parametrize("place", ["other/gateway", "linear/other", "linear", "gateway/linear"])
def test_a_bundle_in_the_place_of_another_model_or_device_is_refused(bundle: Path, tmp_path: Path, place: str) -> None:
    moved = renamed(bundle, bundle.read_bytes(), tmp_path / "target" / "targets" / place)
    with pytest.raises(BundleError, match="is of linear for gateway, and lies under other names"):
        read_bundle(moved)


def test_an_edited_manifest_is_refused(bundle: Path) -> None:
    bundle.chmod(0o644)
    bundle.write_bytes(bundle.read_bytes().replace(b"gateway", b"gatewax"))
    with pytest.raises(BundleError, match="damaged or renamed"):
        read_bundle(bundle)


def test_another_format_version_is_refused_though_its_digest_is_right(bundle: Path) -> None:
    older = json.dumps(json.loads(bundle.read_text()) | {"format_version": 2}).encode()
    with pytest.raises(BundleError, match="format version 2, this runtime reads 3; publish the model again"):
        read_bundle(renamed(bundle, older))


def test_who_a_bundle_is_needs_no_blob(bundle: Path) -> None:
    _blob(bundle).unlink()
    assert identify_bundle(bundle).manifest.version == "3"
    with pytest.raises(BundleError, match="cannot be read"):
        verify_bundle(bundle)


def test_the_manifests_of_a_device_are_listed_and_nothing_else_is(bundle: Path, tmp_path: Path, model: Path) -> None:
    root = tmp_path / "target"
    second = write(root, model, version="4")
    write(root, model, device="other")
    write(root, model, model="linear.2")
    for name in ("notes.txt", ".tmp-killed", ".hidden.manifest.json"):
        (bundle.parent / name).write_text("by hand")
    assert manifests_of(root, "linear", "gateway") == sorted([bundle, second])
    assert manifests_of(root, "linear", "nowhere") == []
    assert manifest_path(root, "linear", "gateway", read_bundle(second).digest) == second
    for names in (("..", "gateway"), ("linear", "../gateway"), ("*", "gateway")):
        with pytest.raises(BundleError, match="cannot be part of a path"):
            manifests_of(root, *names)


def test_a_device_needs_no_document_to_run_a_bundle(model: Path, tmp_path: Path) -> None:
    paper = tmp_path / "sbom.cdx.json"
    paper.write_text("{}")
    (document,) = blobs_of({paper.name: paper})
    manifest = described({"model.onnx": model}, documents=(document,))
    written = write_bundle(tmp_path / "target", manifest, {"model.onnx": model, paper.name: paper})
    there = tmp_path / "target" / "blobs" / document.sha256
    assert there.read_text() == "{}"
    there.unlink()
    assert read_bundle(written).manifest.documents == (document,)


def test_a_missing_blob_is_refused(bundle: Path) -> None:
    _blob(bundle).unlink()
    with pytest.raises(BundleError, match=r"model\.onnx .* cannot be read"):
        read_bundle(bundle)


def test_a_blob_of_another_size_is_refused(bundle: Path) -> None:
    blob = _blob(bundle)
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"bytes, the manifest says"):
        read_bundle(bundle)


def test_one_flipped_bit_is_refused(bundle: Path) -> None:
    blob = _blob(bundle)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    with pytest.raises(BundleError, match="has the sha256"):
        read_bundle(bundle)


def test_a_blob_that_is_a_link_is_refused(bundle: Path, model: Path) -> None:
    blob = _blob(bundle)
    blob.unlink()
    blob.symlink_to(model)
    with pytest.raises(BundleError, match="regular file"):
        read_bundle(bundle)


def test_a_graph_finds_its_weights_among_the_blobs(portable_bundle: Path) -> None:
    read = read_bundle(portable_bundle)
    (weights_blob,) = (blob for blob in read.manifest.blobs if blob.name != "model.onnx")
    assert weights_blob.name == weights_blob.sha256
    rows = np.ones((2, 64), np.float32)
    (answers,) = EdgeModel.load(read.entry_path, read.manifest.session).predict({"x": rows})
    np.testing.assert_allclose(answers, rows @ weights(64, 32), rtol=1e-5, atol=1e-5)
    assert model_digest(read.entry_path) == read.entry_path.name


def test_damaged_weights_are_refused(portable_bundle: Path) -> None:
    for blob in (portable_bundle.parents[3] / "blobs").iterdir():
        if blob.name != read_bundle(portable_bundle).entry_path.name:
            blob.chmod(0o644)
            blob.write_bytes(bytes(blob.stat().st_size))
    with pytest.raises(BundleError, match="has the sha256"):
        read_bundle(portable_bundle)


def test_a_manifest_that_leaves_weights_out_is_refused(portable_bundle: Path) -> None:
    manifest = read_bundle(portable_bundle).manifest
    (entry, left_out) = sorted(manifest.blobs, key=lambda blob: blob.name != "model.onnx")
    without = renamed(portable_bundle, encode_manifest(replace(manifest, blobs=(entry,))))
    with pytest.raises(BundleError, match=f"names weights that are no blobs of this manifest: {left_out.sha256}"):
        read_bundle(without)


@pytest.mark.parametrize("allowed", [RuntimeRange("1.0", "1.1"), RuntimeRange("98.0", "99.0")])
def test_another_runtime_than_the_manifest_names_does_not_run_a_bundle(
    tmp_path: Path, model: Path, allowed: RuntimeRange
) -> None:
    written = write(tmp_path / "target", model, onnxruntime=allowed)
    assert verify_bundle(written).manifest.onnxruntime == allowed
    here = onnxruntime_version()
    with pytest.raises(BundleError, match=f"needs ONNX Runtime {allowed.at_least} or later, .*, this is {here}: "):
        read_bundle(written)
