"""The memory of this process, as Linux counts it: resident now, the peak, and a limit on its growth.

A child's ru_maxrss begins at its parent's peak, so the peak is VmHWM, read in the process itself.
"""

import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_MIB = 1 << 20
_HEADROOM = 2
_DEFAULT_STACK = 8 * _MIB


def resident_mb() -> float:
    """Return the resident memory of this process in MiB."""
    return _status_mb("VmRSS")


def private_mb() -> float:
    """Return the resident memory of this process in MiB that no file backs: no other process can share it."""
    return _status_mb("RssAnon")


def peak_mb() -> float:
    """Return the highest resident memory of this process since it began or since reset_peak, in MiB."""
    return _status_mb("VmHWM")


def reset_peak() -> bool:
    """Make the peak begin again at what is resident now; False where the kernel does not permit it."""
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def limit_growth(growth_mb: float, threads: int) -> None:
    """Let this process allocate about `growth_mb` MiB more, so that a model far too big cannot fill the host.

    The kernel no longer enforces a limit on resident memory, so this limits data mappings (RLIMIT_DATA). RLIMIT_AS also
    counts what is only reserved (64 MiB an allocator arena) and mapped weights, which a device can drop again.
    Data mappings still are not resident memory: onnxruntime's arena grows in powers of two, and models of 12 to 64 MB
    needed 0.4 to 1.4 times their resident growth. Hence twice the growth here; the caller holds peak_mb to the limit.
    """
    allowance = int(growth_mb * _HEADROOM * _MIB) + (threads - 1) * _stack_bytes()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = int(_status_mb("VmData") * _MIB) + allowance
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def lift_limit() -> None:
    """Undo limit_growth, so that a process that ran out can still say so."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _stack_bytes() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _DEFAULT_STACK if soft == resource.RLIM_INFINITY else soft


def _status_mb(field: str) -> float:
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1024
    raise OSError(f"{_STATUS} has no {field}; memory can only be measured on Linux.")
