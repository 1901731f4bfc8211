"""The code that each kind of stage depends on: what shapes a result is in its key, and what does not is not."""

from collections.abc import Sequence

import pytest

from deployments.rungs import PostTraining, QuantizationAware
from tasks.compression import float_models, rung_files, students, trajectory
from tasks.measurement import acceptance, device_answers, device_measurement
from tasks.reporting import losses
from tasks.selection import parity_runs
from tasks.store import Code, sources_of
from tasks.upstream import parents
from tests.tasks.tiny import recipe

QAT = QuantizationAware(kind="qat", fine_tune=recipe().prune.fine_tune)
PTQ = PostTraining(kind="ptq", calibration="minmax")
LOADED = [
    "model_compression.intake.rebuilding",
    "model_compression.pruning.snapshot",
    "model_compression.students.architecture",
]
MEASURED = ["edge_runtime.measurement.worker", "edge_runtime.measurement.memory", "edge_runtime.session"]
TAUGHT = ["model_compression.training.loop", "tasks.compression.distillation_targets"]
QUANTIZATION = ["model_compression.quantization.qat", "model_compression.quantization.static"]

STAGES: dict[str, tuple[Sequence[Code], list[str], list[str]]] = {
    "measure": (device_measurement.CODE, MEASURED, ["model_compression.pruning.rounds"]),
    "emulate": (device_answers.CODE, [*MEASURED, "tasks.emulation.emulator"], ["model_compression.pruning.rounds"]),
    "acceptance": (
        acceptance.CODE,
        [*MEASURED, "edge_runtime.bundle.parts", "tasks.emulation.emulator", "tasks.measurement.device_measurement"],
        ["edge_runtime.bundle.writer", "model_compression.pruning.rounds"],
    ),
    "export": (float_models.CODE, [*LOADED, *MEASURED, "model_compression.onnx_files.export"], QUANTIZATION),
    "parent-outputs": (parents.CODE, LOADED[:1], QUANTIZATION[:1]),
    "prune": (trajectory.CODE, [*LOADED, *TAUGHT, "model_compression.pruning.importance"], QUANTIZATION),
    "student": (students.CODE, [*LOADED, *TAUGHT], QUANTIZATION),
    "student-fit": (
        students.FIT_CODE,
        [*MEASURED, "quality_gates.gates.limit"],
        ["model_compression.quantization.qat"],
    ),
    "ptq": (rung_files._code(PTQ), ["deployments.rungs", "model_compression.quantization.ranges"], QUANTIZATION[:1]),
    "qat": (rung_files._code(QAT), [*LOADED, *TAUGHT, "model_compression.quantization.folding"], []),
    "parity": (
        parity_runs.CODE,
        [*MEASURED, "tasks.measurement.device_answers"],
        [*QUANTIZATION, "edge_runtime.bundle.writer"],
    ),
    "layers": (losses.CODE, ["model_compression.quantization.mixed", "tasks.compression.rung_files"], QUANTIZATION[:1]),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stages_key_has_what_shapes_its_result_and_no_more(stage: str) -> None:
    code, needed, foreign = STAGES[stage]
    sources = {name for each in code for name in sources_of(each if isinstance(each, str) else each.__module__)}
    assert not [name for name in needed if name not in sources]
    assert not [name for name in foreign if name in sources]
