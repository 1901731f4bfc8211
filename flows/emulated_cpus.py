"""The CPUs that can be emulated here: a table of them, and the preparation of what is missing."""

import platform
from pathlib import Path

from rich.console import Console

from deployments.instruction_sets import CPUS
from edge_runtime.cpu import this_instruction_set
from flows.terminal_tables import Column, Row, TerminalTable
from tasks.emulation import DEBIAN, find_emulator, prepare_root, read_root
from tasks.errors import EmulatorMissing


def emulators_table(home: Path) -> TerminalTable:
    """Return a table of the CPUs that device profiles may name, and whether each can be emulated here."""
    columns = Column("cpu"), Column("instructions"), Column("emulated here")
    rows = []
    for cpu in CPUS.values():
        try:
            find_emulator(cpu, home)
            state, why = "yes", ""
        except EmulatorMissing as missing:
            state, why = "no", str(missing)
        rows.append(Row((cpu.name, cpu.instruction_set, state), why))
    title = f"This machine: {this_instruction_set() or 'of a class that no profile names'}"
    return TerminalTable(title, columns, rows, noted="why")


def prepare_emulators(home: Path, console: Console) -> None:
    """Prepare the Python of every machine that is not this one, where it is not there yet. Raises EmulatorError."""
    for machine in DEBIAN:
        if machine == platform.machine():
            continue
        try:
            root = read_root(home, machine)
        except EmulatorMissing:
            console.print(f"Fetching Python, numpy and ONNX Runtime for {machine} (190 MB unpacked) ...")
            root = prepare_root(home, machine)
        console.print(f"{machine}: {root.folder}")
