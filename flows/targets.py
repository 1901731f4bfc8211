"""What `edgewright targets` shows and prepares: the CPUs that answers can be taken on."""

import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deployments.instruction_sets import CPUS
from tasks.emulation import DEBIAN, find_emulator, instruction_set_here, prepare_root, read_root
from tasks.errors import EmulatorMissing


def targets_table(home: Path) -> Table:
    """Every CPU that a device profile may name, its instruction set, and whether it can be emulated here."""
    title = f"This machine: {instruction_set_here() or 'of a class that no profile names'}"
    table = Table("cpu", "instructions", "emulated here", title=title, title_justify="left")
    for cpu in CPUS.values():
        try:
            find_emulator(cpu, home)
            state = "yes"
        except EmulatorMissing as missing:
            state = f"no: {missing}"
        table.add_row(cpu.name, cpu.instruction_set, state)
    return table


def prepare_targets(home: Path, console: Console) -> None:
    """Prepare the Python of every machine that is not this one, where it is not there yet. Raises TargetError."""
    for machine in DEBIAN:
        if machine == platform.machine():
            continue
        try:
            root = read_root(home, machine)
        except EmulatorMissing:
            console.print(f"Fetching Python, numpy and ONNX Runtime for {machine} (190 MB unpacked) ...")
            root = prepare_root(home, machine)
        console.print(f"{machine}: {root.folder}")
