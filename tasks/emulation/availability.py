"""Which emulators the devices of a recipe need on this machine, and which of them are there."""

from collections.abc import Iterable
from pathlib import Path

from deployments.device import DeviceProfile
from tasks.emulation.answering import Answering, answering
from tasks.emulation.emulator import Emulator, find_emulator
from tasks.emulation.host import instruction_set_here
from tasks.errors import EmulatorMissing


def answering_of(device: DeviceProfile) -> Answering:
    """Where a device's answers are taken on this machine."""
    return answering(device, instruction_set_here())


def emulators_for(devices: Iterable[DeviceProfile], home: Path) -> dict[str, Emulator | EmulatorMissing]:
    """The emulator of every device that needs one here, by the device's name, or what stands in the way."""
    wanted = {device.name: answering_of(device).emulated for device in devices}
    found: dict[str, Emulator | EmulatorMissing] = {}
    for name, cpu in wanted.items():
        if cpu is not None:
            try:
                found[name] = find_emulator(cpu, home)
            except EmulatorMissing as error:
                found[name] = error
    return found
