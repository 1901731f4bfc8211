import hashlib
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle import (
    MAX_BYTES,
    QUANTILES,
    Blob,
    BundleError,
    Delta,
    Golden,
    Manifest,
    RuntimeRange,
    Spread,
    TensorSpec,
    decode_manifest,
    digest_of,
    encode_manifest,
)
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.bundle.linear import described, everything

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
_SPREAD = Spread("x", 4, 0.0, 1.0, (0.0,) * len(QUANTILES))


@pytest.fixture
def full(model: Path, tmp_path: Path) -> Manifest:
    """A manifest in which nothing is left out."""
    (tmp_path / "golden.npz").write_bytes(b"vectors")
    (tmp_path / "head.scores.onnx").write_bytes(b"graph")
    files = {"model.onnx": model} | {name: tmp_path / name for name in ("golden.npz", "head.scores.onnx")}
    return described(files, **everything(files))


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
        ({"format_version": 2}, "format 3 only"),
        ({"runtime": "new"}, "least runtime needs versions such as"),
        ({"documents": (_BLOB,)}, "blob or document needs a name of its own"),
        ({"golden": Golden("golden.npz", 8, 1, {"x": 0.1})}, "golden vectors 'golden.npz' are none of the blobs"),
        ({"golden": Golden("model.onnx", 8, 1, {"z": 0.1})}, r"tolerance for each of the outputs \['x'\], not \['z'\]"),
        ({"spreads": (_SPREAD, _SPREAD)}, "Every spread needs a name of its own"),
        ({"spreads": (replace(_SPREAD, name="z"),)}, "spread of 'z' is of no input and no output"),
        ({"deltas": (Delta("b" * 64, "c" * 64, "d" * 64, 1),)}, "makes no blob of this manifest"),
        ({"deltas": (Delta("a" * 64, "c" * 64, "d" * 64, 1),) * 2}, "Every delta needs a name of its own"),
        ({"lineage": {"verdict": "overridden"}}, "must name .*approved_by"),
        ({"lineage": {"verdict": "overridden", **APPROVED, "approved_by": ""}}, "must name"),
        ({"lineage": {"verdict": "pass", **APPROVED}}, "must name no approval"),
    ],
)
def test_a_manifest_that_says_nonsense_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        replace(MANIFEST, **change)


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


def test_a_manifest_survives_the_trip_through_bytes(full: Manifest) -> None:
    for manifest in (MANIFEST, full):
        assert decode_manifest(encode_manifest(manifest)) == manifest
    assert all(getattr(full, each.name) for each in fields(full))  # nothing that the trip could lose is empty


def test_a_manifest_that_nobody_could_read_is_not_written() -> None:
    lineage = {f"key {number}": "x" * 4096 for number in range(MAX_BYTES // 4096)}
    with pytest.raises(BundleError, match=f"at most {MAX_BYTES} bytes"):
        encode_manifest(replace(MANIFEST, lineage=lineage))


def test_the_digest_is_that_of_the_bytes_and_knows_no_order() -> None:
    second = Blob("head.onnx", "b" * 64, 4)
    made = tuple(Delta("a" * 64, base * 64, "d" * 64, 1) for base in "bc")
    papers = tuple(Blob(name, "c" * 64, 1) for name in ("one", "two"))
    one = replace(MANIFEST, blobs=(*MANIFEST.blobs, second), lineage={"a": "1", "b": "2"})
    other = replace(MANIFEST, blobs=(second, *MANIFEST.blobs), lineage={"b": "2", "a": "1"})
    one = replace(one, documents=papers, deltas=made)
    other = replace(other, documents=papers[::-1], deltas=made[::-1])
    assert encode_manifest(one) == encode_manifest(other)
    assert digest_of(one) == hashlib.sha256(encode_manifest(one)).hexdigest()
    assert digest_of(one) != digest_of(MANIFEST)


def _edited(edit: Callable[[dict[str, Any]], None], manifest: Manifest = MANIFEST) -> bytes:
    document = json.loads(encode_manifest(manifest))
    edit(document)
    return (json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n").encode()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda document: document.update(format_version=4), "format version 4, this runtime reads 3; use the runtime"),
        (lambda document: document.update(format_version=2), "format version 2, .* 3; publish the model"),
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


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda document: document["golden"].pop("rows"), r"missing \['rows'\]"),
        (lambda document: document["golden"].update(tolerance=[]), "tolerance for each output"),
        (lambda document: document["golden"]["tolerance"].update(y=-1), "must not be below 0"),
        (lambda document: document["validity"].update(elsewhere=1), "as true or false"),
        (lambda document: document["validity"].update(instruction_sets="avx2"), "instruction sets must be a list"),
        (lambda document: document["validity"].update(instruction_sets=["a/b"]), "cannot be part of a path"),
        (lambda document: document["measured"].update(figures=[]), "object with names as keys"),
        (lambda document: document["measured"]["batch_ms"].update(many=1), "numbers of rows as keys"),
        (lambda document: document["spreads"][0].update(quantiles={}), "quantiles must be a list"),
        (lambda document: document["spreads"][0]["quantiles"].pop(), "needs 9 quantiles"),
        (lambda document: document["spreads"][0].update(mean=10**400), "must be a finite number"),
        (lambda document: document["spreads"][0].update(std="1"), "must be a finite number"),
        (lambda document: document["documents"][0].update(name="../up"), "cannot be part of a path"),
        (lambda document: document["deltas"][0].update(base="d"), "needs a sha256"),
        (lambda document: document.update(spreads=None), "spreads must be a list"),
        (lambda document: document.update(validity=None), "validity must be an object"),
        (lambda document: document.update(measured=3), "measured figures must be an object"),
        (lambda document: document.pop("golden"), r"missing \['golden'\]"),
    ],
)
def test_the_parts_of_a_manifest_are_read_strictly(
    full: Manifest, edit: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    with pytest.raises(BundleError, match=sentence):
        decode_manifest(_edited(edit, full))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"null"])
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        decode_manifest(data)


def test_a_key_given_twice_is_refused() -> None:
    data = encode_manifest(MANIFEST).replace(b'"device":"gateway",', b'"device":"gateway","device":"gateway",')
    with pytest.raises(BundleError, match="canonical"):
        decode_manifest(data)
