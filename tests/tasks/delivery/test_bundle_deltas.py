"""Deltas of a publication: made where two versions have one structure, found by devices, and fewer bytes for them."""

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import Manifest, blobs_of, encode_manifest, read_bundle
from edge_runtime.configuration import UpdateConfiguration
from edge_runtime.deltas import EMPTY, apply_delta
from edge_runtime.device import agent_of
from edge_runtime.device.joined import store_of
from edge_runtime.install import running
from edge_runtime.model_files import model_files
from edge_runtime.session import EdgeModel
from edge_runtime.update import UpdateExit
from tasks.delivery import publication as publishing
from tasks.delivery.bundle_deltas import with_deltas
from tasks.registry import ANSWERS
from tests.edge_runtime.bundle.linear import described
from tests.edge_runtime.install.carried import expected
from tests.tasks.delivery.counter import Counter
from tests.tasks.delivery.devices import Reader, acceptance, configured, serving
from tests.tasks.tiny import job

WIDTH, CLASSES = 192, 8
Weights = dict[str, np.ndarray]


def weights(seed: int, width: int = WIDTH) -> Weights:
    """Return int8 weights of two layers, spread as trained ones are."""
    chance = np.random.default_rng(seed)
    shapes = {"w": (width, width), "v": (width, CLASSES)}
    return {name: np.clip(chance.normal(0, 25, shape).round(), -127, 127).astype(np.int8) for name, shape in
            shapes.items()}  # fmt: skip


def retrained(before: Weights) -> Weights:
    """Return weights of which a third differ by one step."""
    chance = np.random.default_rng(0)
    return {name: np.clip(each + chance.choice([-1, 0, 0, 0, 0, 1], each.shape), -127, 127).astype(np.int8)
            for name, each in before.items()}  # fmt: skip


def quantized_model(folder: Path, given: Weights, layers: int = 1) -> Path:
    """Write y = relu(x @ w) @ v over int8 weights, each in a file of its own beside the graph."""
    folder.mkdir(parents=True)
    width = given["w"].shape[0]
    nodes = [
        helper.make_node("DequantizeLinear", [name, "scale"], [f"{name}_float"], name=f"{name}_dequantized")
        for name in given
    ]
    names = ["x", *(f"h{layer}" for layer in range(layers))]
    for before, after in pairwise(names):
        nodes += [helper.make_node("MatMul", [before, "w_float"], [f"{after}_raw"]),
                  helper.make_node("Relu", [f"{after}_raw"], [after])]  # fmt: skip
    nodes.append(helper.make_node("MatMul", [names[-1], "v_float"], ["y"]))
    graph = helper.make_graph(
        nodes, "quantized", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", CLASSES])],
        [*(numpy_helper.from_array(each, name) for name, each in given.items()),
         numpy_helper.from_array(np.array(0.002, np.float32), "scale")],
    )  # fmt: skip
    for tensor in graph.initializer[:2]:
        digest = hashlib.sha256(tensor.raw_data).hexdigest()
        (folder / digest).write_bytes(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=digest)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    onnx.checker.check_model(str(folder / "model.onnx"))
    return folder / "model.onnx"


def manifest_of(graph: Path) -> tuple[Manifest, dict[str, Path]]:
    files = model_files(graph)
    return described(files, blobs=blobs_of(files)), files


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return quantized_model(tmp_path / "first", weights(1))


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return quantized_model(tmp_path / "second", retrained(weights(1)))


def made(graph: Path, before: Path | None, scratch: Path) -> tuple[Manifest, dict[str, Path]]:
    scratch.mkdir()
    return with_deltas(*manifest_of(graph), before, scratch)


def test_one_structure_gives_deltas_of_weights_and_graph_that_make_the_very_blobs(
    first: Path, second: Path, tmp_path: Path
) -> None:
    manifest, files = made(second, first, tmp_path / "scratch")
    old = {blob.sha256: path for path in model_files(first).values() for blob in blobs_of({"file": path})}
    blobs, smaller = {blob.sha256: blob for blob in manifest.blobs}, {}
    for delta in manifest.deltas:
        base, blob = (None if delta.base == EMPTY else old[delta.base]), blobs[delta.blob]
        made_of_it = tmp_path / "made"
        apply_delta(base, files[delta.sha256], made_of_it, sha256=blob.sha256, size=blob.size)
        assert made_of_it.read_bytes() == files[blob.name].read_bytes()
        assert files[delta.sha256].stat().st_size == delta.size < blob.size
        if delta.base != EMPTY:
            smaller[blob.name] = delta.size / blob.size
    assert set(smaller) == {blob.name for blob in manifest.blobs}
    assert smaller.pop("model.onnx") < 0.5 and max(smaller.values()) < 0.3


def test_another_structure_gives_only_compressed_files(first: Path, tmp_path: Path) -> None:
    wider = quantized_model(tmp_path / "wider", weights(2, WIDTH + 40), layers=2)
    manifest, _ = made(wider, first, tmp_path / "scratch")
    of_weights = {blob.sha256 for blob in manifest.blobs if blob.name != "model.onnx"}
    assert {delta.base for delta in manifest.deltas if delta.blob in of_weights} == {EMPTY}


def test_without_a_model_before_files_are_compressed(first: Path, tmp_path: Path) -> None:
    manifest, _ = made(first, None, tmp_path / "scratch")
    assert manifest.deltas and {delta.base for delta in manifest.deltas} == {EMPTY}


def test_what_did_not_change_needs_no_delta(first: Path, tmp_path: Path) -> None:
    same = quantized_model(tmp_path / "same", weights(1))
    manifest, _ = made(same, first, tmp_path / "scratch")
    assert {delta.base for delta in manifest.deltas} == {EMPTY}


def test_a_model_before_that_cannot_be_read_gives_no_deltas_of_weights(
    first: Path, second: Path, tmp_path: Path, warned: list[str]
) -> None:
    first.write_bytes(first.read_bytes()[:100])
    manifest, _ = made(second, first, tmp_path / "scratch")
    of_weights = {blob.sha256 for blob in manifest.blobs if blob.name != "model.onnx"}
    assert {delta.base for delta in manifest.deltas if delta.blob in of_weights} == {EMPTY}
    assert any("no deltas of weights" in each for each in warned)


def test_the_same_again_gives_the_same_bytes(first: Path, second: Path, tmp_path: Path) -> None:
    one, files = made(second, first, tmp_path / "one")
    two, again = made(second, first, tmp_path / "two")
    assert encode_manifest(one) == encode_manifest(two)
    assert {name: path.read_bytes() for name, path in files.items()} == {
        name: path.read_bytes() for name, path in again.items()
    }


ROWS = np.random.default_rng(3).standard_normal((8, WIDTH), dtype=np.float32)


class Versions:
    """Versions of one model, each published with what a device needs to accept it."""

    def __init__(self, reader: Reader, name: str, folder: Path) -> None:
        self.reader, self.name, self.folder = reader, name, folder

    def counter(self, version: str, file: Path) -> Counter:
        return Counter(job(self.reader.workspace, self.name, version), file)

    def publish(self, counter: Counter) -> None:
        accepted = acceptance(counter.file, self.folder / f"accepted-{counter.job.version}", ROWS)
        tags = {**counter.publication().tags, ANSWERS: "avx512"}  # another CPU than the profile's: any may run it
        counter.publish(acceptance=accepted, tags=tags)


@pytest.fixture
def versions(reader: Reader, tmp_path: Path, request: pytest.FixtureRequest) -> Versions:
    return Versions(reader, str(request.node.name).replace("_", "-"), tmp_path)


def test_an_update_fetches_the_deltas_and_runs_the_new_version(
    versions: Versions, first: Path, second: Path, tmp_path: Path
) -> None:
    """The whole way: what was published is signed, found by the agent over HTTP, made of deltas, tried and run."""
    workspace = versions.reader.workspace
    versions.publish(versions.counter("1", first))
    with serving(workspace.target) as (url, traffic):
        configuration = configured(workspace, tmp_path / "device", url, versions.name)
        assert agent_of(configuration).run() is UpdateExit.DONE
        whole = traffic.bytes_of_blobs
        assert runs(configuration) == ("1", answers(first))
        traffic.clear()
        assert agent_of(configuration).run() is UpdateExit.DONE
        assert len(traffic.asked) <= 2 and sum(traffic.sent.values()) <= 20_000  # nothing is new

        versions.publish(versions.counter("2", second))
        manifest = versions.reader.manifest(versions.name)
        assert manifest is not None
        traffic.clear()
        assert agent_of(configuration).run() is UpdateExit.DONE
        assert runs(configuration) == ("2", answers(second))
        used = {path.rpartition("/")[2] for path in traffic.sent} & {delta.sha256 for delta in manifest.deltas
                                                                     if delta.base != EMPTY}  # fmt: skip
        assert len(used) == 3  # of the graph and of both files of weights
        golden = next(blob.size for blob in manifest.blobs if blob.name == "golden.npz")
        assert traffic.bytes_of_blobs - golden < 0.3 * (whole - golden)


def runs(configuration: UpdateConfiguration) -> tuple[str, list[float]]:
    """Return the version that a device runs, and its answers."""
    model = running(store_of(configuration), configuration.models[0])
    (found,) = EdgeModel.load(model.graph, model.session).predict({"x": ROWS})
    return model.bundle.manifest.version, found.round(3).ravel().tolist()


def answers(file: Path) -> list[float]:
    return [float(each) for each in expected({"model.onnx": file}, ROWS).round(3).ravel()]


def test_publishing_again_writes_nothing_new(versions: Versions, first: Path, second: Path) -> None:
    versions.publish(versions.counter("1", first))
    counter = versions.counter("2", second)
    versions.publish(counter)
    target = counter.job.workspace.target
    before = {path: path.stat().st_ino for path in target.rglob("*")}
    versions.publish(counter)
    assert {path: path.stat().st_ino for path in target.rglob("*")} == before
    (_, newest) = (
        read_bundle(path).manifest for path in sorted(counter.bundles(), key=lambda each: each.stat().st_mtime)
    )
    assert any(delta.base != EMPTY for delta in newest.deltas)


def test_nobody_waits_for_deltas_that_are_being_made(
    versions: Versions, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making them may take minutes: no release number is claimed meanwhile."""
    versions.publish(versions.counter("1", first))
    counter, seen = versions.counter("2", second), list[int]()

    def looked(*given: object) -> object:
        seen.append(len(counter.destination.claims(versions.name, "bench")))
        return with_deltas(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(publishing, "with_deltas", looked)
    versions.publish(counter)
    assert seen == [1] and len(counter.destination.claims(versions.name, "bench")) == 2
