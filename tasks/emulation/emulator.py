"""The emulator: QEMU's user mode from Debian's package, which runs Python as if on another CPU."""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deployments.instruction_sets import Cpu
from edge_runtime.measurement import Measurement, MeasureRequest, measure
from tasks.emulation.sysroot import Root, read_root
from tasks.errors import EmulatorMissing

PACKAGE = "qemu-user-static"


@dataclass(frozen=True)
class Emulator:
    """A program that stands in for a CPU. `root` has another machine's Python; None where this one's own runs."""

    program: str
    version: str
    cpu: Cpu
    root: Root | None

    @property
    def identity(self) -> dict[str, str | None]:
        """Everything that answers depend on: the CPU, QEMU's version and the digest of the root's packages."""
        return {"cpu": self.cpu.name, "qemu": self.version, "root": self.root.digest if self.root else None}

    def measure(self, request: MeasureRequest, timeout_s: float) -> Measurement:
        """Measure as edge_runtime does, emulated: only the outputs count. Raises MeasurementFailed."""
        command = (self.program, "-cpu", self.cpu.name)
        if self.root is None:
            return measure(request, timeout_s, sys.executable, emulator=command)
        with _seen_as(self.root, self.cpu) as folder:
            emulator = (*command, "-L", str(folder))
            return measure(request, timeout_s, str(self.root.python), emulator=emulator, packages=[self.root.packages])


def find_emulator(cpu: Cpu, home: Path) -> Emulator:
    """Find the emulator of a CPU; another machine's Python is looked for in `home`. Raises EmulatorMissing."""
    names = (f"qemu-{cpu.machine}-static", f"qemu-{cpu.machine}")  # Debian 13 has the second name too
    program = next((found for found in map(shutil.which, names) if found), None)
    if program is None:
        raise EmulatorMissing(
            f"expected {names[0]} to emulate {cpu.name} with, got no such program on the PATH.",
            f"Install {PACKAGE} (sudo apt-get install {PACKAGE}) and run again.",
        )
    root = None if cpu.machine == platform.machine() else read_root(home, cpu.machine)
    return Emulator(program, _version(program), cpu, root)


@cache
def _version(program: str) -> str:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EmulatorMissing(
            f"expected {program} to say its version, got {error}.", f"Install {PACKAGE} again and run again."
        ) from error
    return said.splitlines()[0] if said else ""


@contextmanager
def _seen_as(root: Root, cpu: Cpu) -> Iterator[Path]:
    """Yield the root with the CPU's own /proc/cpuinfo: ONNX Runtime reads it and crashes on that of an x86 machine."""
    with tempfile.TemporaryDirectory(prefix="edgewright-root-") as name:
        folder = Path(name)
        for entry in root.folder.iterdir():
            (folder / entry.name).symlink_to(entry)
        if cpu.part is not None:
            (folder / "proc").mkdir()
            (folder / "proc" / "cpuinfo").write_text(arm_cpuinfo(cpu.part, cpu.instruction_set == "neon_dotprod"))
        yield folder


def arm_cpuinfo(part: str, dotprod: bool) -> str:
    """Return the /proc/cpuinfo of one core of Arm's own design (implementer 0x41)."""
    features = "fp asimd aes pmull sha1 sha2 crc32 cpuid" + (
        " atomics fphp asimdhp asimdrdm asimddp" if dotprod else ""
    )
    lines = ("processor\t: 0", "BogoMIPS\t: 50.00", f"Features\t: {features}", "CPU implementer\t: 0x41")
    return "\n".join(
        (*lines, "CPU architecture: 8", "CPU variant\t: 0x0", f"CPU part\t: {part}", "CPU revision\t: 1\n")
    )
