"""`python -m edge_runtime.measurement.worker REQUEST.json`: measures a model in its own process, as on the device.

The runner starts it; the result and the outputs are written beside the request. With `--in-turns` it times a block of
calls for each line of its stdin instead.
"""

import ctypes
import functools
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edge_runtime.backbone import LoadedModel, load_model
from edge_runtime.errors import EdgewrightError, MeasurementFailed, SessionMemoryError
from edge_runtime.measurement import memory as process_memory
from edge_runtime.measurement.energy import CallEnergy, energy_of_calls
from edge_runtime.measurement.figures import Figures
from edge_runtime.measurement.latency import TimedLoad
from edge_runtime.measurement.protocol import (
    PARENT,
    MeasuringJob,
    RowReader,
    RowWriter,
    read_job,
    write_failure,
    write_figures,
)
from edge_runtime.measurement.timing import IN_TURNS, answer_turns, time_calls, time_load
from edge_runtime.model_files import model_bytes, model_digest

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Measure as the request says; return 0 if there are figures, 1 if the result tells of a failure."""
    _die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    job = read_job(Path(arguments[0]).absolute())
    try:
        (_time_in_turns if IN_TURNS in arguments else _measure)(job)
    except (MemoryError, SessionMemoryError) as error:
        process_memory.lift_limit()
        write_failure(job, f"{_over_limit(job)} {error}")
    except EdgewrightError as error:
        process_memory.lift_limit()
        write_failure(job, str(error))
    else:
        return 0
    return 1


def _measure(job: MeasuringJob) -> None:
    digest = model_digest(job.model, job.heads)  # as a device does, before it loads anything
    readers = {name: RowReader(job.folder / file) for name, file in job.inputs.items()}
    bare_mb, bare_private_mb = process_memory.resident_mb(), process_memory.private_mb()
    model, load = _loaded(job, bare_mb)
    _predict_all(job, model, readers)
    call = functools.partial(model.predict, _timed_rows(job, readers))
    milliseconds = time_calls(call, warmup=job.latency_warmup, repeats=job.latency_repeats, seconds=job.latency_seconds)
    energy = energy_of_calls(call) if job.times_calls else CallEnergy(None, None)
    peak_mb, private_mb = _check_peak(job), max(process_memory.private_mb() - bare_private_mb, 0.0)
    p50, p99 = np.percentile(milliseconds, [50, 99])
    process_memory.lift_limit()
    figures = Figures(
        size_bytes=model_bytes(job.model, job.heads),
        peak_rss_mb=peak_mb,
        load_ms=load.milliseconds,
        latency_p50_ms=float(p50),
        latency_p99_ms=float(p99),
        growth_mb=max(peak_mb - bare_mb, 0.0),
        energy_mj=_of_a_row(job, energy.packages_mj),
        memory_energy_mj=_of_a_row(job, energy.memory_mj),
    )
    write_figures(job, digest, figures, bare_mb, private_mb, len(model.outputs))


def _of_a_row(job: MeasuringJob, figure: float | None) -> float | None:
    return None if figure is None else figure / job.latency_batch_size


def _time_in_turns(job: MeasuringJob) -> None:
    readers = {name: RowReader(job.folder / file) for name, file in job.inputs.items()}

    def load() -> tuple[TimedLoad, Callable[[], object]]:
        model, timed = _loaded(job, process_memory.resident_mb())
        call = functools.partial(model.predict, _timed_rows(job, readers))
        time_calls(call, warmup=job.latency_warmup, repeats=1, seconds=job.latency_seconds)
        return timed, call

    answer_turns(load)


def _loaded(job: MeasuringJob, bare_mb: float) -> tuple[LoadedModel, TimedLoad]:
    """Load the model under the limit on memory; return it with the time that this took."""
    process_memory.reset_peak()
    _apply_limit(job, bare_mb)
    model, load = _load(job)
    _check_peak(job)
    return model, load


def _apply_limit(job: MeasuringJob, bare_mb: float) -> None:
    if job.memory_limit_mb is None:
        return
    if job.memory_limit_mb <= bare_mb:
        raise MeasurementFailed(
            f"The memory limit of {job.memory_limit_mb:.0f} MiB is taken by the bare runtime alone, "
            f"which has {bare_mb:.0f} MiB before a model is loaded; no model can fit this limit."
        )
    process_memory.limit_growth(job.memory_limit_mb - bare_mb, job.settings.threads)


def _check_peak(job: MeasuringJob) -> float:
    peak_mb = process_memory.peak_mb()
    if job.memory_limit_mb is not None and peak_mb > job.memory_limit_mb:
        raise MeasurementFailed(f"{_over_limit(job)} Its resident memory reached {peak_mb:.1f} MiB.")
    return peak_mb


def _over_limit(job: MeasuringJob) -> str:
    if job.memory_limit_mb is None:
        return "The model ran out of memory on this machine; no memory limit was set."
    return f"The model does not fit the memory limit of {job.memory_limit_mb:.0f} MiB."


def _load(job: MeasuringJob) -> tuple[LoadedModel, TimedLoad]:
    loaded: list[LoadedModel] = []
    timed = time_load(lambda: loaded.append(load_model(job.model, job.settings, job.heads)))
    return loaded[0], timed


def _predict_all(job: MeasuringJob, model: LoadedModel, readers: dict[str, RowReader]) -> None:
    with ExitStack() as stack:
        writers = [
            stack.enter_context(RowWriter(job.output(index), spec.name, job.rows))
            for index, spec in enumerate(model.outputs)
        ]
        for start in range(0, job.rows, job.batch_size):
            stop = min(start + job.batch_size, job.rows)
            batch = {name: reader.read(start, stop) for name, reader in readers.items()}
            for writer, output in zip(writers, model.predict(batch), strict=True):
                writer.append(output, stop - start)
        for writer in writers:
            writer.check_finite()


def _timed_rows(job: MeasuringJob, readers: dict[str, RowReader]) -> dict[str, np.ndarray]:
    size = job.latency_batch_size
    chosen = np.arange(size) % job.rows  # fewer rows than a batch: they come round again
    return {name: reader.read(0, size)[chosen] for name, reader in readers.items()}


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = os.environ.get(PARENT)
    if parent is not None and not Path("/proc", parent).exists():  # it ended while this process imported numpy
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
