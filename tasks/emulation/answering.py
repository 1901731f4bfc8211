"""Where a device's answers are taken: on this machine's CPU or on an emulated one. Pure."""

from dataclasses import dataclass

from deployments.device import DeviceProfile, EmulatedAnswers
from deployments.instruction_sets import CPUS, Cpu, InstructionSet

HERE = "this machine's CPU"


@dataclass(frozen=True)
class Answering:
    """Where answers are taken; `emulated` is None for this machine's CPU. The sentence is for the report."""

    emulated: Cpu | None
    sentence: str

    @property
    def words(self) -> str:
        """The CPU in a few words."""
        return HERE if self.emulated is None else f"{self.emulated.name}, emulated"


def answering(device: DeviceProfile, here: InstructionSet | None) -> Answering:
    """Choose for a device on a machine whose instruction set is `here`, None for one that no profile names."""
    wanted, got = device.instruction_set, here or "of a class that no profile names"
    if wanted == here:
        return Answering(None, f"Answers are taken on {HERE}, which is of the device's class: {wanted}.")
    if not isinstance(device.answers, EmulatedAnswers):
        return Answering(
            None,
            f"Answers are taken on {HERE} ({got}), which differs from the device's: {wanted}. Whether the file answers "
            "the same there is not shown.",
        )
    cpu = CPUS[device.answers.cpu]
    return Answering(
        cpu,
        f"Answers of the candidate and of what is deployed are taken on an emulated {cpu.name} ({wanted}), for "
        f"{HERE} ({got}) is of another class. The parent, in float, answers here. No latency, memory or load time is "
        "taken under emulation: those figures are this machine's.",
    )
