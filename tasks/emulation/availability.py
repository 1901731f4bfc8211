"""Availability of a device's class of CPU: this machine's own, an emulator, or the reason why there is none."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deployments.device import DeviceProfile, EmulatedAnswers
from deployments.instruction_sets import CPUS, Cpu
from quality_gates.evidence import AnsweringCpu
from tasks.device_link import instruction_set_of, place_of
from tasks.emulation.emulator import Emulator, find_emulator
from tasks.errors import EmulatorMissing


@dataclass(frozen=True)
class Answering:
    """The CPU that answers are taken on; `emulated` is None for this machine's. The sentence is for the report."""

    emulated: Cpu | None
    cpu: AnsweringCpu
    sentence: str


def answering(device: DeviceProfile, here: str | None) -> Answering:
    """Choose for a device that is measured by a CPU whose instruction set is `here`, None where no profile names it."""
    place = place_of(device.measure)
    wanted, got = device.instruction_set, here or "of a class that no profile names"
    this = AnsweringCpu(place, here, wanted)
    if this.is_proven:
        return Answering(None, this, f"Answers are taken on {place}, which is of the device's class: {wanted}.")
    if not isinstance(device.answers, EmulatedAnswers):
        return Answering(
            None,
            this,
            f"Answers are taken on {place} ({got}), which differs from the device's: {wanted}. Whether the file "
            "answers the same there is not shown.",
        )
    cpu = CPUS[device.answers.cpu]
    return Answering(
        cpu,
        AnsweringCpu(f"{cpu.name}, emulated", cpu.instruction_set, wanted),
        f"Answers of the candidate and of what is deployed are taken on an emulated {cpu.name} ({wanted}), for "
        f"{place} ({got}) is of another class. The parent, in float, answers here. No latency, memory or load time is "
        "taken under emulation: those figures are this machine's.",
    )


def answering_of(device: DeviceProfile) -> Answering:
    """Return the CPU that a device's answers are taken on here."""
    return answering(device, instruction_set_of(device.measure))


def emulators_for(devices: Iterable[DeviceProfile], home: Path) -> dict[str, Emulator | EmulatorMissing]:
    """Return the emulator of each device that needs one here, by name, or the error that names what is missing."""
    asking = (device for device in devices if isinstance(device.answers, EmulatedAnswers))
    wanted = {device.name: answering_of(device).emulated for device in asking}
    found: dict[str, Emulator | EmulatorMissing] = {}
    for name, cpu in wanted.items():
        if cpu is not None:
            try:
                found[name] = find_emulator(cpu, home)
            except EmulatorMissing as error:
                found[name] = error
    return found
