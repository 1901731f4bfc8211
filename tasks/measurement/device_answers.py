"""A file measured for a device: figures from this machine, answers from the device's own class of CPU."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deployments.device import DeviceProfile, EmulatedAnswers
from deployments.instruction_sets import Cpu
from deployments.workload import SplitName
from edge_runtime.backbone import answers_of_rows
from edge_runtime.errors import MeasurementFailed, SessionError
from edge_runtime.model_files import model_digest
from quality_gates.evidence import ModelEvidence, Unanswered
from tasks.emulation import answering_of, find_emulator
from tasks.errors import EmulatorMissing
from tasks.measurement.device_measurement import answer_rows, check_form, check_measured, failed, measure_on, request
from tasks.progress import as_task
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
CODE = ("edge_runtime.measurement", "tasks.emulation", request, __name__)


def measure_for(context: DeviceContext, file: Path, split: SplitName) -> ModelEvidence:
    """Measure one edge file for a device: as measure_on does, with answers from an emulated CPU where one is needed.

    A missing emulator leaves the answers out and says why; a run that fails under emulation is a failed measurement.
    """
    device = context.device
    native = measure_on(context, file, split)
    where = answering_of(device)
    if where.emulated is None or native.failure is not None:
        return replace(native, answered_on=where.cpu)
    try:
        outputs = emulated_outputs(context, where.emulated, file, split)
    except EmulatorMissing as error:
        logger.warning("%s: %s", device.name, error)
        return replace(native, rows=None, unanswered=Unanswered(error.reason, error.remedy))
    except (MeasurementFailed, SessionError) as error:
        logger.warning("%s: on %s: %s", device.name, where.cpu.name, error)
        return replace(failed(error, f"On {where.cpu.name}: "), file_sha256=native.file_sha256)
    return replace(native, rows=answer_rows(context.job, split, outputs), answered_on=where.cpu)


def emulated_outputs(context: DeviceContext, cpu: Cpu, file: Path, split: SplitName) -> np.ndarray:
    """Return a file's outputs for all rows of a split on an emulated CPU; they are computed once.

    Raises EmulatorMissing or MeasurementFailed.
    """
    job, device = context.job, context.device
    emulator = find_emulator(cpu, job.workspace.home)
    rows, digest = job.splits[split], model_digest(file)

    def produce(folder: Path) -> dict[str, Any]:
        logger.info("%s: %d %s rows on an emulated %s; this can take minutes", device.name, len(rows), split, cpu.name)
        asked = request(device, file, rows.inputs, latency_warmup=0, latency_repeats=1)
        seen = emulator.measure(replace(asked, memory_limit_mb=None), timeout_of_answers(device))
        outputs = answers_of_rows(seen.outputs, asked.heads)
        check_form(job, split, outputs)
        check_measured(file, seen, digest)
        np.save(folder / "outputs.npy", outputs)
        return {"rows": len(rows)}  # and no figure: an emulated CPU tells nothing of time or memory

    inputs = {
        "file": digest,
        "threads": device.threads,
        "batch_size": device.max_batch,
        "execution_provider": device.execution_provider,
        "split": split,
        "emulator": emulator.identity,
        **job.digests(split),
    }
    title = f"answers of {device.name}, {split} rows, on an emulated {cpu.name}"
    stage = context.store.run("emulate", inputs, CODE, as_task("emulated answers", title, produce))
    answers: np.ndarray = np.load(stage.folder / "outputs.npy", mmap_mode="r")
    return answers


def timeout_of_answers(device: DeviceProfile) -> float:
    """Return the seconds that an emulated run may take."""
    return device.answers.timeout_s if isinstance(device.answers, EmulatedAnswers) else device.measure.timeout_s
