"""Declarations of heads: what a manifest says of them, strictly, and the graphs that a bundle has for them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle import (
    BLOBS,
    Blob,
    BundleError,
    DeclaredHead,
    Manifest,
    RuntimeRange,
    TensorSpec,
    decode_manifest,
    digest_of,
    encode_manifest,
    manifest_path,
    verify_bundle,
)
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.edge_runtime.made_families import ONE_THREAD, bundle_at, defects, head

MANIFEST = Manifest(
    model="linear", version="3", device="gateway", entry="model.onnx", blobs=(Blob("model.onnx", "a" * 64, 10),),
    inputs=(TensorSpec("x", "float32", (None, 8)),), outputs=(TensorSpec("y", "float32", (None, 8)),),
    session=ONE_THREAD, onnxruntime=RuntimeRange("1.0", "99.0"), lineage={},
)  # fmt: skip
FAULTS, KINDS = (TensorSpec(name, "float32", (None, 4)) for name in ("faults", "kinds"))
BLOBS_OF_ALL = (Blob("model.onnx", "a" * 64, 10), Blob("one.onnx", "b" * 64, 10), Blob("two.onnx", "c" * 64, 10))
ONE, TWO = DeclaredHead("one", "one.onnx", ("faults",)), DeclaredHead("two", "two.onnx", ("kinds",))


def declared(*heads: DeclaredHead, outputs: tuple[TensorSpec, ...] = (FAULTS, KINDS), **changes: Any) -> Manifest:
    return replace(MANIFEST, blobs=BLOBS_OF_ALL, outputs=outputs, heads=heads, **changes)


def test_heads_survive_the_trip_in_their_order() -> None:
    for manifest in (declared(ONE, TWO), declared(TWO, ONE, outputs=(KINDS, FAULTS))):
        assert decode_manifest(encode_manifest(manifest)) == manifest
    assert declared(ONE, TWO).graphs == ("model.onnx", "one.onnx", "two.onnx")


def test_a_manifest_without_heads_has_the_bytes_that_it_always_had() -> None:
    document = json.loads(encode_manifest(MANIFEST))
    assert "heads" not in document and MANIFEST.graphs == ("model.onnx",)
    document["heads"] = []
    with pytest.raises(BundleError, match="canonical"):
        decode_manifest((json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n").encode())


@pytest.mark.parametrize(
    ("heads", "sentence"),
    [
        ((ONE, replace(TWO, outputs=("faults",))), "The output 'faults' of linear is given twice"),
        ((ONE,), "No head of linear gives the output 'kinds'"),
        ((TWO, ONE), "must be those of its heads in their order"),
        ((ONE, replace(TWO, outputs=("kinds", "more"))), "must be those of its heads in their order"),
        ((ONE, replace(TWO, graph="three.onnx")), r"The head two needs the blob 'three.onnx', and it is none of"),
        ((ONE, replace(TWO, graph="model.onnx")), "The head two is the backbone itself"),
        ((ONE, replace(TWO, name="one")), "Every head needs a name of its own"),
    ],
    ids=["given twice", "not given", "another order", "too many", "no blob", "the backbone", "one name"],
)
def test_heads_that_do_not_give_each_output_once_are_refused(heads: tuple[DeclaredHead, ...], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        declared(*heads)


def test_the_backbone_under_another_name_is_no_head() -> None:
    same = (BLOBS_OF_ALL[0], replace(BLOBS_OF_ALL[0], name="one.onnx"), BLOBS_OF_ALL[2])
    with pytest.raises(BundleError, match="The head one is the backbone itself"):
        replace(declared(ONE, TWO), blobs=same)


@pytest.mark.parametrize("change", [{"name": "a/b"}, {"graph": "../up"}, {"outputs": ()}, {"outputs": ("a\n",)}])
def test_a_head_needs_names(change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match=r"cannot be part of a path|printable names of the outputs"):
        replace(ONE, **change)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "one", "graph": "one.onnx"},
        {"name": "one", "graph": "one.onnx", "outputs": ["faults"], "heads": []},
        {"name": "one", "graph": "one.onnx", "outputs": "faults"},
        ["one", "one.onnx", ["faults"]],
    ],
    ids=["a key too few", "nested", "a text for a list", "a list for an object"],
)
def test_a_declaration_is_read_strictly(wrong: object) -> None:
    document = json.loads(encode_manifest(declared(ONE, TWO)))
    document["heads"][0] = wrong
    with pytest.raises(BundleError, match=r"A head|outputs of 'one' must be a list"):
        decode_manifest((json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n").encode())


def test_every_head_of_a_bundle_is_verified(tmp_path: Path) -> None:
    bundle = bundle_at(defects(tmp_path / "made").carry(tmp_path / "carried", 1))
    assert [each.name for each in bundle.heads] == ["faults", "kinds"]
    graph = bundle.heads[1].path
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match=r"The blob head\.kinds\.onnx has the sha256"):
        verify_bundle(bundle.path)


def test_weights_of_a_head_that_are_no_blobs_are_refused(tmp_path: Path) -> None:
    family = defects(tmp_path / "made")
    bundle = bundle_at(family.carry(tmp_path / "carried", 1))
    weights = {blob.name for blob in bundle.manifest.blobs} - {"golden.npz", *bundle.manifest.graphs}
    assert len(weights) == 3
    for name in weights:
        lacking = replace(bundle.manifest, blobs=tuple(b for b in bundle.manifest.blobs if b.name != name))
        path = manifest_path(tmp_path / "carried", MODEL, DEVICE, "")
        target = path.with_name(f"{digest_of(lacking)}.manifest.json")
        target.write_bytes(encode_manifest(lacking))
        with pytest.raises(BundleError, match=f"(entry model|head graph head).* names weights .*{name}"):
            verify_bundle(target)


def test_graphs_may_share_weights(tmp_path: Path) -> None:
    twins = defects(tmp_path / "made", faults=5, kinds=5)
    bundle = bundle_at(twins.carry(tmp_path / "carried", 1))
    assert len(list((tmp_path / "carried" / BLOBS).iterdir())) == 3 + 2 + 1
    assert bundle.manifest.heads[0].graph != bundle.manifest.heads[1].graph
    assert head("faults", 5).weights.tobytes() in [bundle.blob_path(b.name).read_bytes() for b in bundle.manifest.blobs]
