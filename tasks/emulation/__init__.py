"""Emulation: answers on the device's own instruction set where this machine has another; never timed.

In comes the CPU that a device profile names; out goes an emulator that runs the measuring process as if on that CPU, or
the reason why there is none and what to install.
"""

from tasks.emulation.availability import answering_of, emulators_for
from tasks.emulation.emulator import Emulator, find_emulator
from tasks.emulation.sysroot import DEBIAN, prepare_root, read_root

__all__ = [
    "DEBIAN",
    "Emulator",
    "answering_of",
    "emulators_for",
    "find_emulator",
    "prepare_root",
    "read_root",
]
