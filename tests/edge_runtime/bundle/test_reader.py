import hashlib
import json
import shutil
from pathlib import Path

import pytest

from edge_runtime.bundle import BundleError, read_bundle
from edge_runtime.files import sha256_of


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
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": 2}))
    renamed = bundle.rename(bundle.with_name(sha256_of(manifest)))
    with pytest.raises(BundleError, match="format version 2"):
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
