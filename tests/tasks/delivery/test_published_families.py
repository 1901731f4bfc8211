"""A backbone with heads is kept, registered, published, restored and updated as one model of several files."""

from pathlib import Path

import mlflow
import numpy as np
import pytest

from edge_runtime.backbone import load_model
from edge_runtime.bundle import DeclaredHead, Manifest, blobs_of, read_bundle
from edge_runtime.deltas import EMPTY
from edge_runtime.errors import EdgewrightError
from edge_runtime.model_files import HEADS, heads_of, model_digest, model_files
from edge_runtime.settings import SessionSettings
from tasks.delivery import roll_back
from tasks.delivery.bundle_deltas import with_deltas
from tasks.errors import PublishError, SystemFailure
from tasks.registry import EdgeVersion
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.linear import described
from tests.tasks.delivery.counter import Counter, kept_folders, register
from tests.tasks.headed import scores
from tests.tasks.tiny import FEATURES, job

ROWS = np.random.default_rng(4).standard_normal((5, FEATURES), dtype=np.float32)


@pytest.fixture
def counter(workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Counter:
    """A family of each test's own, judged as version 1."""
    name = str(request.node.name).replace("[", "-").rstrip("]").replace("_", "-")
    return Counter(job(workspace, name, "1"), scores(tmp_path / "v1").on_disk())


def answers(graph: Path) -> list[np.ndarray]:
    return load_model(graph, SessionSettings(threads=1), heads_of(graph)).predict({"x": ROWS})


def first_release(counter: Counter) -> EdgeVersion:
    return next(each for each in counter.models.releases("bench") if each.release == 1)


def test_a_bundle_declares_the_heads_of_a_family(counter: Counter) -> None:
    edge = counter.publish()
    (path,) = counter.bundles()
    bundle = read_bundle(path)
    declared = [DeclaredHead(name, f"head.{name}.onnx", (name,)) for name in ("one", "rest")]
    assert list(bundle.manifest.heads) == declared
    assert [spec.name for spec in bundle.manifest.outputs] == ["one", "rest"]
    assert edge.file_sha256 == model_digest(counter.file) == model_digest(bundle.entry_path, bundle.heads)
    model = load_model(bundle.entry_path, bundle.manifest.session, bundle.heads)
    for got, kept in zip(model.predict({"x": ROWS}), answers(counter.file), strict=True):
        np.testing.assert_array_equal(got, kept)


def test_the_registry_gives_all_files_of_a_release(counter: Counter, tmp_path: Path) -> None:
    edge = counter.publish()
    graph = counter.models.fetch(edge, tmp_path / "fetched")
    assert [head.outputs for head in heads_of(graph)] == [("one",), ("rest",)]
    fetched = {name: path.read_bytes() for name, path in model_files(graph).items()}
    assert fetched == {name: path.read_bytes() for name, path in model_files(counter.file).items()}
    candidate = counter.models.fetch_candidate(counter.candidate, tmp_path / "candidate")
    assert model_digest(candidate) == edge.file_sha256
    (kept,) = kept_folders(counter)
    assert mlflow.models.Model.load(str(kept)).flavors["onnx"]["data"] == "model.onnx"


@pytest.mark.parametrize("fault", ["missing", "changed", "damaged"])
def test_a_kept_family_with_a_fault_is_not_taken(counter: Counter, tmp_path: Path, fault: str) -> None:
    edge = counter.publish()
    (kept,) = kept_folders(counter)
    spoil(kept, fault)
    with pytest.raises(SystemFailure, match="changed after publication: restore it"):
        counter.models.fetch(edge, tmp_path / "fetched")
    with pytest.raises(EdgewrightError, match="It was changed since: compress the version again"):
        counter.models.fetch_candidate(counter.candidate, tmp_path / "candidate")


@pytest.mark.parametrize("fault", ["missing", "changed", "damaged"])
def test_a_family_with_a_fault_is_neither_kept_nor_published(counter: Counter, fault: str) -> None:
    spoil(counter.file.parent, fault)
    with pytest.raises(PublishError, match="Nothing was published"):
        counter.publish()
    assert counter.deployed() is None and not counter.bundles()
    with pytest.raises(SystemFailure, match="expected to keep the model that was measured"):
        counter.keep(counter.candidate.file_sha256)


def spoil(folder: Path, fault: str) -> None:
    head = folder / "head.rest.onnx"
    if fault == "missing":
        head.unlink()
    elif fault == "changed":
        head.write_bytes(head.read_bytes().replace(b"rest", b"pest"))
    else:
        (folder / HEADS).write_text('{"heads": [{"name": "rest", "outputs": ["rest"]}]}')


def test_a_lost_family_comes_from_its_bundle_and_is_kept_again(
    counter: Counter, workspace: Workspace, tmp_path: Path
) -> None:
    counter.keep_records()
    register(workspace, counter.job.model)
    counter.publish()
    first = first_release(counter)
    second = Counter(job(workspace, counter.job.model, "2"), scores(tmp_path / "v2", rest=13).on_disk())
    second.keep_records()
    second.publish()
    for each in (counter, second):
        kept_folders(each, lose=True)
    edge = roll_back(workspace, counter.job.model, "bench", to=None, by="Ada", reason="it fails at night")
    assert edge.file_sha256 == first.file_sha256
    restored = counter.models.fetch(edge, tmp_path / "restored")
    for got, kept in zip(answers(restored), answers(counter.file), strict=True):
        np.testing.assert_array_equal(got, kept)


def test_a_changed_head_alone_has_a_delta(tmp_path: Path) -> None:
    before, after = scores(tmp_path / "before").on_disk(), scores(tmp_path / "after", rest=13).on_disk()
    manifest, files = manifest_of(after)
    found, _ = with_deltas(manifest, files, before, tmp_path)
    names = {blob.sha256: blob.name for blob in found.blobs}
    old = {path.read_bytes() for path in model_files(before).values()}
    fresh = {name for name, path in model_files(after).items() if path.read_bytes() not in old}
    assert fresh == {"head.rest.onnx"}
    assert {names[delta.blob] for delta in found.deltas if delta.base != EMPTY} <= fresh


def manifest_of(graph: Path) -> tuple[Manifest, dict[str, Path]]:
    files = model_files(graph)
    heads = tuple(DeclaredHead(head.name, head.path.name, head.outputs) for head in heads_of(graph))
    model = load_model(graph, SessionSettings(threads=1), heads_of(graph))
    fields = {"heads": heads, "inputs": model.inputs, "outputs": model.outputs, "blobs": blobs_of(files)}
    return described(files, **fields), files
