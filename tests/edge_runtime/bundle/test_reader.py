import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import BundleError, RuntimeRange, read_bundle, verify_bundle
from edge_runtime.bundle.manifest import encode_manifest
from edge_runtime.files import sha256_of
from edge_runtime.model_files import model_digest
from edge_runtime.session import RUNTIME, EdgeModel
from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.models import weights


def _blob(bundle: Path) -> Path:
    (blob,) = (bundle / "blobs").iterdir()
    blob.chmod(0o644)
    return blob


def test_an_intact_bundle_is_read(bundle: Path, model: Path) -> None:
    read = read_bundle(bundle)
    assert read.path == bundle.resolve()
    assert read.digest == bundle.name == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert read.manifest.lineage == {"source_model": "digits", "source_version": "3"}
    assert read.entry_path == bundle / "blobs" / sha256_of(model)
    assert read.entry_path.read_bytes() == model.read_bytes()


def test_a_bundle_may_be_copied_and_linked_to(bundle: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(bundle, tmp_path / "device" / bundle.name)
    (tmp_path / "current").symlink_to(copied)
    assert read_bundle(tmp_path / "current").path == copied


def test_an_unknown_blob_is_named(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"no blob 'head\.onnx'"):
        read_bundle(bundle).blob_path("head.onnx")


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        read_bundle(tmp_path)


def test_a_renamed_bundle_is_refused(bundle: Path) -> None:
    renamed = bundle.rename(bundle.with_name("0" * 64))
    with pytest.raises(BundleError, match="damaged or renamed"):
        read_bundle(renamed)


def test_an_edited_manifest_is_refused(bundle: Path) -> None:
    manifest = bundle / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b"gateway", b"gatewax"))
    with pytest.raises(BundleError, match="damaged or renamed"):
        read_bundle(bundle)


def test_another_format_version_is_refused_though_its_digest_is_right(bundle: Path) -> None:
    manifest = bundle / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": 1}))
    renamed = bundle.rename(bundle.with_name(sha256_of(manifest)))
    with pytest.raises(BundleError, match="format version 1, this runtime reads 2; publish the model again"):
        read_bundle(renamed)


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
    for blob in (portable_bundle / "blobs").iterdir():
        if blob.name != read_bundle(portable_bundle).entry_path.name:
            blob.chmod(0o644)
            blob.write_bytes(bytes(blob.stat().st_size))
    with pytest.raises(BundleError, match="has the sha256"):
        read_bundle(portable_bundle)


def test_a_manifest_that_leaves_weights_out_is_refused(portable_bundle: Path) -> None:
    manifest = read_bundle(portable_bundle).manifest
    (entry, left_out) = sorted(manifest.blobs, key=lambda blob: blob.name != "model.onnx")
    path = portable_bundle / "manifest.json"
    path.chmod(0o644)
    path.write_bytes(encode_manifest(replace(manifest, blobs=(entry,))))
    renamed = portable_bundle.rename(portable_bundle.with_name(sha256_of(path)))
    (renamed / "blobs" / left_out.sha256).unlink()  # a file that no manifest names is refused before
    with pytest.raises(BundleError, match=f"names weights that are no blobs of this manifest: {left_out.sha256}"):
        read_bundle(renamed)


@pytest.mark.parametrize("allowed", [RuntimeRange("1.0", "1.1"), RuntimeRange("98.0", "99.0")])
def test_another_runtime_than_the_manifest_names_does_not_run_a_bundle(
    tmp_path: Path, model: Path, allowed: RuntimeRange
) -> None:
    written = write(tmp_path / "target", model, onnxruntime=allowed)
    assert verify_bundle(written).manifest.onnxruntime == allowed
    with pytest.raises(BundleError, match=f"needs ONNX Runtime {allowed.at_least} or later, .*, this is {RUNTIME}: "):
        read_bundle(written)
