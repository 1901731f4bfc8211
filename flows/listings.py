"""Tables of what is configured: device profiles, and the gates that test rows can decide; neither loads MLflow."""

from collections.abc import Sequence

from deployments.device import DeviceProfile
from flows.terminal_tables import Column, Row, TerminalTable
from quality_gates.foresight import MOST_TIMES, JointChance
from quality_gates.gates import PlanLine
from quality_gates.policy import AlphaSpending
from quality_gates.statistics import POWER


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


def plan_table(title: str, lines: Sequence[PlanLine], joint: JointChance) -> TerminalTable:
    """Return a table of what the test rows can decide of each gate, and how often a model that is as good passes it."""
    columns = (
        Column("gate"),
        Column("rows", right=True, spare=3),
        Column("needed", right=True, spare=2),
        Column("passes", right=True),
        Column("can decide", spare=1),
    )
    rows = []
    for line in lines:
        counts = ("-" if count is None else f"{count:,}" for count in (line.rows, line.needed))
        answer, _, why = line.answer.partition(": ")
        chance = joint.by_gate.get(line.name)
        rows.append(Row((line.name, *counts, "-" if chance is None else f"{chance:.0%}", answer), why))
    return TerminalTable(title, columns, rows, noted="why")


def joint_sentences(joint: JointChance, discordance: float, accuracy: float) -> str:
    """Say how often a model that is as good passes all gates at once, which gate stops it most, and what would help."""
    source = (
        f"as often as in the last {joint.versions} verdicts of this model here"
        if joint.versions
        else f"on {discordance:.1%} of the rows, at an accuracy of {accuracy:.1%}, assumed as no version was judged yet"
    )
    said = [
        f"All gates together: a model that is truly as good passes in {joint.chance:.0%} of cases, where models differ "
        f"{source}."
    ]
    if joint.bottleneck is not None and joint.chance < POWER:
        said.append(f"The bottleneck is {joint.bottleneck}, which passes in {joint.by_gate[joint.bottleneck]:.0%}.")
    if joint.rows_needed is None:
        said.append(f"Even {MOST_TIMES} times the {joint.rows:,} test rows do not bring it to 80 %: widen a margin.")
    elif joint.rows_needed > joint.rows:
        said.append(
            f"About {joint.rows_needed:,} test rows of the same mix, in place of {joint.rows:,}, bring it to 80 %."
        )
    if joint.left_out:
        said.append(
            f"Taken to hold, as rows do not decide them or their errors are not known: {', '.join(joint.left_out)}."
        )
    return " ".join(said)


def level_sentence(spending: AlphaSpending) -> str:
    """Say at which level each look is tested, and so planned."""
    return (
        f"Planned at {100 * spending.level:g} % false passes a look: the recipe spends {100 * spending.total:g} % over "
        f"{spending.looks:,} looks."
    )
