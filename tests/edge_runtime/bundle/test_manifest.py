import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge_runtime.bundle.manifest import Blob, Manifest, RuntimeRange, decode_manifest, digest_of, encode_manifest
from edge_runtime.errors import BundleError
from edge_runtime.settings import SessionSettings, TensorSpec

APPROVED = {
    "approved_by": "Ada",
    "approval_reason": "the customer waits",
    "approved_until": "2026-04-01",
    "approved_verdict": "0" * 64,
}
_BLOB = Blob("model.onnx", "a" * 64, 10)
_TENSOR = TensorSpec("x", "float32", (None, 8))
MANIFEST = Manifest(
    model="linear",
    version="3",
    device="gateway",
    entry="model.onnx",
    blobs=(_BLOB,),
    inputs=(_TENSOR,),
    outputs=(_TENSOR,),
    session=SessionSettings(threads=1),
    onnxruntime=RuntimeRange("1.31.1", "1.32"),
    lineage={"source_model": "digits"},
)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../up", ".hidden", "a b", "a\n", "-option", "x" * 129, "é"])
@pytest.mark.parametrize("field", ["model", "device"])
def test_names_that_are_no_path_component_are_refused(field: str, name: str) -> None:
    change: dict[str, Any] = {field: name}
    with pytest.raises(BundleError, match="cannot be part of a path"):
        replace(MANIFEST, **change)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": ""}, "version must be"),
        ({"entry": "other.onnx"}, "none of the blobs"),
        ({"blobs": ()}, "at least one blob"),
        ({"blobs": (_BLOB, _BLOB)}, "name of its own"),
        ({"inputs": ()}, "at least one input"),
        ({"outputs": (_TENSOR, _TENSOR)}, "name of its own"),
        ({"lineage": {"source_version": 3}}, "text to text"),
        ({"format_version": 3}, "format 2 only"),
        ({"lineage": {"verdict": "overridden"}}, "must name .*approved_by"),
        ({"lineage": {"verdict": "overridden", **APPROVED, "approved_by": ""}}, "must name"),
        ({"lineage": {"verdict": "pass", **APPROVED}}, "must name no approval"),
    ],
)
def test_a_manifest_that_says_nonsense_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        replace(MANIFEST, **change)


@pytest.mark.parametrize(
    ("sha256", "size"), [("a" * 63, 1), ("A" * 64, 1), ("a" * 64, -1), ("a" * 64, True), ("a" * 64, 10**15)]
)
def test_a_blob_needs_a_real_digest_and_size(sha256: str, size: int) -> None:
    with pytest.raises(BundleError, match="needs a"):
        Blob("model.onnx", sha256, size)


@pytest.mark.parametrize(
    ("name", "dtype"), [("", "float32"), ("x", ""), (3, "float32"), ("x\n", "float32"), ("x", "object")]
)
def test_a_tensor_needs_a_name_and_a_dtype(name: Any, dtype: str) -> None:
    with pytest.raises(BundleError, match="needs a printable name and a dtype"):
        TensorSpec(name, dtype, ())


@pytest.mark.parametrize("shape", [(10**9,), (2**20, None, 2**20), (1,) * 17])
def test_a_tensor_shape_has_bounds(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(BundleError, match="at most 16 axes and 268435456 elements"):
        TensorSpec("x", "float32", shape)


@pytest.mark.parametrize("shape", [(-1,), (1.5,), ("rows",)])
def test_a_tensor_shape_holds_sizes_or_none(shape: tuple[object, ...]) -> None:
    with pytest.raises(BundleError, match="None if dynamic"):
        TensorSpec("x", "float32", shape)  # type: ignore[arg-type]


def test_an_overridden_release_says_who_answers_for_it() -> None:
    manifest = replace(MANIFEST, lineage={"verdict": "overridden", **APPROVED})
    assert manifest.approval == APPROVED
    assert MANIFEST.approval == {}


def test_a_manifest_survives_the_trip_through_bytes() -> None:
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST


def test_the_digest_is_that_of_the_bytes_and_knows_no_order() -> None:
    second = Blob("head.onnx", "b" * 64, 4)
    one = replace(MANIFEST, blobs=(*MANIFEST.blobs, second), lineage={"a": "1", "b": "2"})
    other = replace(MANIFEST, blobs=(second, *MANIFEST.blobs), lineage={"b": "2", "a": "1"})
    assert encode_manifest(one) == encode_manifest(other)
    assert digest_of(one) == hashlib.sha256(encode_manifest(one)).hexdigest()
    assert digest_of(one) != digest_of(MANIFEST)


def _edited(edit: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(encode_manifest(MANIFEST))
    edit(document)
    return (json.dumps(document, sort_keys=True, indent=2) + "\n").encode()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda document: document.update(format_version=3), "format version 3, this runtime reads 2; use the runtime"),
        (
            lambda document: document.update(format_version=1),
            "format version 1, .* 2; publish the model",
        ),
        (lambda document: document["onnxruntime"].pop("below"), r"missing \['below'\]"),
        (lambda document: document["onnxruntime"].update(below=2), "needs versions such as 1.31.1, not 2"),
        (lambda document: document.pop("format_version"), "format version None"),
        (lambda document: document.update(extra=1), r"unknown \['extra'\]"),
        (lambda document: document.pop("lineage"), r"missing \['lineage'\]"),
        (lambda document: document["session"].pop("threads"), r"missing \['threads'\]"),
        (lambda document: document["session"].update(threads=0), "session settings cannot be used"),
        (lambda document: document["blobs"][0].update(url="x"), r"unknown \['url'\]"),
        (lambda document: document.update(blobs={}), "blobs must be a list"),
        (lambda document: document["blobs"][0].update(size="10"), "size in whole bytes"),
        (lambda document: document["blobs"][0].update(name="../up"), "cannot be part of a path"),
        (lambda document: document["inputs"][0].update(shape=4), "must be a list"),
        (lambda document: document.update(lineage=[]), "lineage must be an object"),
        (lambda document: document.update(session=None), "must be an object"),
        (lambda document: document.update(entry=["model.onnx"]), "none of the blobs"),
    ],
)
def test_a_manifest_is_read_strictly(edit: Callable[[dict[str, Any]], None], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        decode_manifest(_edited(edit))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"null"])
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        decode_manifest(data)


def test_a_key_given_twice_is_refused() -> None:
    data = encode_manifest(MANIFEST).replace(b'"device": "gateway",', b'"device": "gateway", "device": "gateway",')
    with pytest.raises(BundleError, match="canonical"):
        decode_manifest(data)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.31.1", ("1.31.1", "1.32")), ("1.31.0+cpu", ("1.31.0", "1.32")), ("2.0", ("2.0.0", "2.1"))],
)
def test_a_model_may_run_on_what_measured_it_and_on_later_patches(version: str, expected: tuple[str, str]) -> None:
    assert RuntimeRange.measured_with(version) == RuntimeRange(*expected)
    assert RuntimeRange.measured_with(version).holds(version)


@pytest.mark.parametrize(
    ("version", "holds"),
    [("1.31.1", True), ("1.31.10", True), ("1.31.1.dev20261126", True), ("1.31.0", False), ("1.31", False),
     ("1.32", False), ("1.32.0rc1", False), ("2.0", False), ("unknown", False)],
)  # fmt: skip
def test_versions_are_compared_as_numbers(version: str, holds: bool) -> None:
    assert MANIFEST.onnxruntime.holds(version) is holds


@pytest.mark.parametrize("version", ["1", "1.x", "01.2", "1.2.3.4.5", "1.2 ", "1." + "9" * 7, "", None])
def test_a_range_needs_versions(version: Any) -> None:
    with pytest.raises(BundleError, match="needs versions such as"):
        RuntimeRange(version, "99.0")


def test_a_range_that_holds_nothing_is_refused() -> None:
    with pytest.raises(BundleError, match=r"from 1\.32 to below 1\.32 holds no version"):
        RuntimeRange("1.32", "1.32")
