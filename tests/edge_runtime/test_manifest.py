from dataclasses import replace

import pytest

from edge_runtime.bundle.manifest import Blob, Manifest, TensorSpec
from edge_runtime.errors import BundleError
from edge_runtime.settings import SessionSettings

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
    lineage={"source_model": "digits"},
)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../up", ".hidden", "a b", "a\n", "-option", "x" * 129, "é"])
@pytest.mark.parametrize("field", ["model", "device"])
def test_names_that_are_no_path_component_are_refused(field: str, name: str) -> None:
    with pytest.raises(BundleError, match="cannot be part of a path"):
        replace(MANIFEST, **{field: name})


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
        ({"format_version": 2}, "format 1 only"),
        ({"lineage": {"verdict": "overridden"}}, "must name .*approved_by"),
        ({"lineage": {"verdict": "overridden", **APPROVED, "approved_by": ""}}, "must name"),
        ({"lineage": {"verdict": "pass", **APPROVED}}, "must name no approval"),
    ],
)
def test_a_manifest_that_says_nonsense_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        replace(MANIFEST, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(("sha256", "size"), [("a" * 63, 1), ("A" * 64, 1), ("a" * 64, -1), ("a" * 64, True)])
def test_a_blob_needs_a_real_digest_and_size(sha256: str, size: int) -> None:
    with pytest.raises(BundleError, match="needs a"):
        Blob("model.onnx", sha256, size)


@pytest.mark.parametrize("shape", [(-1,), (1.5,), ("rows",)])
def test_a_tensor_shape_holds_sizes_or_none(shape: tuple[object, ...]) -> None:
    with pytest.raises(BundleError, match="None if dynamic"):
        TensorSpec("x", "float32", shape)  # type: ignore[arg-type]


def test_an_overridden_release_says_who_answers_for_it() -> None:
    manifest = replace(MANIFEST, lineage={"verdict": "overridden", **APPROVED})
    assert manifest.approval == APPROVED
    assert MANIFEST.approval == {}
