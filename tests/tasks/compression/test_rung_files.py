"""Files of rungs: in the portable form, and with in float what is faster there, measured once for PTQ and QAT."""

from typing import Any

import onnx
import pytest
from onnx import numpy_helper

import tasks.compression.rung_files
from deployments.device import DeviceProfile
from deployments.rungs import AsItIs, PostTraining, QuantizationAware
from edge_runtime.model_files import model_files, weights_of
from model_compression.errors import ExportError, QuantizationError
from model_compression.onnx_files import portable
from tasks.compression import ModelFile, export_snapshot, float_bytes, make_file, measure_baseline
from tasks.errors import SystemFailure
from tasks.upstream import resolve
from tasks.workspace import Workspace
from tests.tasks import tiny
from tests.tasks.builders import on

PTQ = {"kind": "ptq", "calibration": "minmax"}


def float_layers(file: ModelFile) -> int:
    """Matrix products whose weights are still float."""
    graph = onnx.load(file.path).graph
    matrices = {tensor.name for tensor in graph.initializer if tensor.data_type == 1 and len(tensor.dims) == 2}
    return len({name for node in graph.node for name in node.input} & matrices)


@pytest.mark.parametrize(("faster", "expected"), [((), 0), (("0",), 1)], ids=["none", "the first"])
@pytest.mark.usefixtures("registered")
def test_layers_that_are_faster_in_float_stay_there(
    faster: tuple[str, ...], expected: int, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def measured(*arguments: object) -> tuple[str, ...]:
        asked.append(arguments)
        return faster

    monkeypatch.setattr(tasks.compression.rung_files, "faster_in_float", measured)
    job = tiny.job(workspace)
    begun = on(job, parent=resolve.fn(job))
    snapshot = measure_baseline.fn(begun).snapshot
    plain = PostTraining.model_validate(PTQ | {"float_where_faster": False})
    ptq = PostTraining.model_validate(PTQ | {"float_where_faster": True})
    training = job.recipe.prune.fine_tune.model_dump()
    qat = QuantizationAware.model_validate({"kind": "qat", "fine_tune": training, "float_where_faster": True})
    assert float_layers(make_file(begun, snapshot, plain)) == 0
    assert not asked
    for rung in (ptq, qat):
        assert float_layers(make_file(begun, snapshot, rung)) == expected
    assert len(asked) == 1
    assert [rung.title for rung in (plain, ptq, qat)] == [
        "PTQ minmax",
        "PTQ minmax, float where faster",
        "QAT, float where faster",
    ]


SSH = {"kind": "ssh", "host": "board", "memory_limit_mb": 512, "timeout_s": 60, "warmup": 1, "repeats": 20}


@pytest.mark.parametrize(
    ("key", "changes", "layers"),
    [
        ({}, {"latency_p50_ms": 5.0}, ("0",)),
        ({}, {"latency_p99_ms": 5.0}, ("0",)),
        ({}, {}, ()),
        ({"float_where_faster": False}, {"latency_p50_ms": 5.0}, ()),
        ({"float_where_faster": True}, {}, ("0",)),
        ({}, {"latency_p50_ms": 5.0, "size_kb": 1.0}, ()),
        ({"float_where_faster": True}, {"latency_p50_ms": 5.0, "size_kb": 1.0}, ("0",)),
        ({}, {"latency_p50_ms": 5.0, "measure": SSH}, ()),
    ],
    ids=["median", "p99", "no latency", "never", "always", "too large", "always, too large", "another CPU"],
)
@pytest.mark.usefixtures("registered")
def test_unasked_layers_stay_in_float_where_latency_matters_and_the_file_fits(
    key: dict[str, bool], changes: dict[str, Any], layers: tuple[str, ...], workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tasks.compression.rung_files, "faster_in_float", lambda *_: ("0",))
    job = tiny.job(workspace)
    given = job.recipe.devices[0].model_dump()
    measure, changes = changes.get("measure", given["measure"]), {k: v for k, v in changes.items() if k != "measure"}
    budgets = given["budgets"] | {"latency_p99_ms": None} | changes
    device = DeviceProfile.model_validate(given | {"budgets": budgets, "measure": measure})
    begun = on(job, device, parent=resolve.fn(job))
    file = make_file(begun, measure_baseline.fn(begun).snapshot, PostTraining.model_validate(PTQ | key))
    assert file.in_float == layers
    assert float_layers(file) == len(layers)


@pytest.mark.usefixtures("registered")
def test_where_every_layer_is_faster_in_float_the_rung_is_what_it_was(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.compression.rung_files, "faster_in_float", lambda *_: ("0", "2"))
    job = tiny.job(workspace)
    budgets = job.recipe.devices[0].budgets.model_copy(update={"latency_p50_ms": 5.0})
    begun = on(job, tiny.device(budgets=budgets), parent=resolve.fn(job))
    snapshot = measure_baseline.fn(begun).snapshot
    assert make_file(begun, snapshot, PostTraining.model_validate(PTQ)).in_float == ()
    with pytest.raises(QuantizationError, match="add `float` to the ladder"):
        make_file(begun, snapshot, PostTraining.model_validate(PTQ | {"float_where_faster": True}))


@pytest.mark.usefixtures("registered")
def test_every_file_that_is_measured_is_in_the_portable_form(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "LARGE", 16)
    job = tiny.job(workspace)
    begun = on(job, parent=resolve.fn(job))
    baseline = measure_baseline.fn(begun)
    whole, plain = baseline.snapshot, export_snapshot(begun, baseline.snapshot)
    files = [make_file(begun, whole, rung) for rung in (AsItIs(kind="float"), PostTraining.model_validate(PTQ))]
    assert files[0].path == baseline.onnx
    assert float_bytes(begun, whole) == files[0].size_bytes
    for file in files:
        beside = sum(path.stat().st_size for path in weights_of(file.path))
        assert beside > 0
        assert file.size_bytes == file.path.stat().st_size + beside
        assert {path.name for path in file.path.parent.iterdir()} == {"result.json", *model_files(file.path)}
    assert not weights_of(plain.path)
    tensors = [numpy_helper.to_array(each) for each in onnx.load(files[0].path).graph.initializer]
    expected = [numpy_helper.to_array(each) for each in onnx.load(plain.path).graph.initializer]
    assert [array.tolist() for array in tensors] == [array.tolist() for array in expected]


@pytest.mark.parametrize("error", [ExportError("It broke."), SystemFailure("It was killed.")])
@pytest.mark.usefixtures("registered")
def test_a_size_for_the_report_costs_no_answer(
    error: Exception, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    job = tiny.job(workspace)
    begun = on(job, parent=resolve.fn(job))
    snapshot = measure_baseline.fn(begun).snapshot

    def fail(*_: object) -> ModelFile:
        raise error

    monkeypatch.setattr(tasks.compression.rung_files, "float_file", fail)
    assert float_bytes(begun, snapshot) is None
    assert warned == [f"parent: its float file has no size in the report. {error}"]
