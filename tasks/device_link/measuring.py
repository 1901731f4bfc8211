"""Measuring where a device profile says: the same calls for a process here and for a device over SSH."""

import atexit
import logging
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from deployments.device import LocalProcess, Measuring, OverSsh
from edge_runtime.cpu import this_cpu, this_instruction_set
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.measurement import Measurement, MeasureRequest, TurnLatency
from edge_runtime.measurement import measure as measure_here
from edge_runtime.measurement import measure_in_turns as measure_in_turns_here
from edge_runtime.remote import Greeting
from tasks.device_link.ssh_device import SshDevice
from tasks.store import digest_of

logger = logging.getLogger("edgewright")
_FORGET_S = 10
_known: dict[OverSsh, Greeting] = {}
_sent: dict[OverSsh, set[str]] = {}
_one_at_a_time: dict[OverSsh, threading.Lock] = defaultdict(threading.Lock)


def measure(request: MeasureRequest, how: Measuring) -> Measurement:
    """Measure as edge_runtime.measurement.measure does, where `how` says. Raises MeasurementFailed as that does."""
    if isinstance(how, LocalProcess):
        return measure_here(request, how.timeout_s)
    with _connected(how) as device:
        return device.measure(request)


def measure_in_turns(
    requests: Mapping[str, MeasureRequest], how: Measuring
) -> dict[str, TurnLatency | MeasurementFailed]:
    """Time models in turns as edge_runtime.measurement.measure_in_turns does, where `how` says."""
    if isinstance(how, LocalProcess):
        return measure_in_turns_here(requests, how.timeout_s)
    with _connected(how) as device:
        return device.measure_in_turns(requests)


def machine_of(how: Measuring) -> str:
    """Return a digest of the processor that measures: another one needs another measurement.

    Over SSH, that of the runtimes there is a part of it. Raises MeasurementInterrupted where the device is not there.
    """
    if isinstance(how, LocalProcess):
        return this_cpu()
    greeting = _greeting(how)
    return digest_of([greeting.cpu, greeting.runtime, greeting.onnxruntime])[:16]


def instruction_set_of(how: Measuring) -> str | None:
    """Return the instruction set of the CPU that measures.

    None where no profile names it, and for a device that is not there: nothing is proven then.
    """
    if isinstance(how, LocalProcess):
        return this_instruction_set()
    try:
        return _greeting(how).instruction_set
    except MeasurementInterrupted as error:
        logger.warning("%s", error)
        return None


def place_of(how: Measuring) -> str:
    """Return in words whose CPU measures and answers."""
    return "this machine's CPU" if isinstance(how, LocalProcess) else f"the CPU of {how.host}"


@contextmanager
def _connected(how: OverSsh) -> Iterator[SshDevice]:
    """Connect for one measurement; another one of this process waits, and so do those of others on the device."""
    with _one_at_a_time[how], SshDevice(how, _greeting(how)) as device:
        try:
            yield device
        finally:
            _sent.setdefault(how, set()).update(device.sent)


def _greeting(how: OverSsh) -> Greeting:
    """Return how a device greeted first; a connection that is greeted otherwise is another device's."""
    if how not in _known:
        with SshDevice(how, None) as device:
            _known[how] = device.greeting
    return _known[how]


@atexit.register
def forget_devices() -> None:
    """Let devices remove what this process has sent to them, and take them as they are the next time."""
    while _sent:
        how, digests = _sent.popitem()
        if digests:
            brief = how.model_copy(update={"connect_timeout_s": _FORGET_S})
            with suppress(MeasurementFailed), SshDevice(brief, None) as device:
                device.forget(sorted(digests))
    _known.clear()
