"""Tables of what is configured: device profiles, and the gates that test rows can decide; neither loads MLflow."""

from collections.abc import Sequence

from deployments.device import DeviceProfile
from flows.terminal_tables import Column, Row, TerminalTable
from quality_gates.gates import PlanLine


def devices_table(devices: Sequence[DeviceProfile]) -> TerminalTable:
    """Return a table of device profiles and their budgets."""
    columns = (
        Column("name"),
        Column("threads", right=True, spare=2),
        Column("instructions"),
        Column("size", right=True),
        Column("peak RSS", right=True),
        Column("p50", right=True),
        Column("p99", right=True, spare=1),
    )
    rows = [Row(_device_cells(device), device.description) for device in devices]
    return TerminalTable("The device profiles that come with Edgewright", columns, rows, noted="description")


def _device_cells(device: DeviceProfile) -> tuple[str, ...]:
    budgets = device.budgets
    figures = (budgets.peak_rss_mb, "MiB"), (budgets.latency_p50_ms, "ms"), (budgets.latency_p99_ms, "ms")
    limits = ("-" if value is None else f"{value:g} {unit}" for value, unit in figures)
    cpu = device.instruction_set + (", emulated" if device.answers.kind == "emulated" else "")
    return device.name, str(device.threads), cpu, f"{budgets.size_kb:g} kB", *limits


def plan_table(title: str, lines: Sequence[PlanLine]) -> TerminalTable:
    """Return a table of what the test rows can decide of each gate."""
    columns = (
        Column("gate"),
        Column("rows", right=True, spare=3),
        Column("needed", right=True, spare=2),
        Column("can decide", spare=1),
    )
    rows = []
    for line in lines:
        counts = ("-" if count is None else f"{count:,}" for count in (line.rows, line.needed))
        answer, _, why = line.answer.partition(": ")
        rows.append(Row((line.name, *counts, answer), why))
    return TerminalTable(title, columns, rows, noted="why")
