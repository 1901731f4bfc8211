"""The table of `edgewright keys status`."""

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.text import Text

from flows.terminal_tables import Column, Row, TerminalTable
from tasks.repository import Expiry, device_of, short

COLUMNS = (
    Column("role"),
    Column("version", right=True, spare=1),
    Column("days left", right=True),
    Column("signs", right=True, spare=2),
    Column("keys (* is here)"),
)


def status_table(found: Sequence[Expiry], now: datetime, here: Callable[[str], bool]) -> TerminalTable:
    """Return a row for each role; `here` tells which keys are on this machine."""
    rows = []
    for each in found:
        keys = " ".join(f"{short(keyid)}{'*' if here(keyid) else ''}" for keyid in each.keys)
        days = Text(f"{each.days_left(now):.0f}", "red" if each.needs else "green")
        role = Text(device_of(each.role) or each.role)
        rows.append(Row((role, str(each.version), days, f"{each.threshold} of {len(each.keys)}", keys), each.needs))
    return TerminalTable("Signed metadata", COLUMNS, rows, noted="needs a person")
