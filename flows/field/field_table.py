"""The table of `edgewright devices list`: what runs in the field, beside what is deployed."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from edge_runtime.reports import ModelInField
from edge_runtime.statistics import LARGE_DRIFT
from flows.terminal_tables import Column, Row, TerminalTable
from tasks.field import RUNNING, EnrolledDevice, HeardReport, shadow_agreement, worst_drift
from tasks.registry import RegistryView

COLUMNS = (
    Column("device"),
    Column("model"),
    Column("profile", spare=3),
    Column("release", right=True),
    Column("deployed", right=True),
    Column("health"),
    Column("heard (UTC)", spare=1),
    Column("number", right=True, spare=2),
    Column("drift", right=True),
    Column("shadow", right=True, spare=4),
)
"""Drift is the largest population stability index of a tensor; shadow the share of rows that a candidate agrees on."""


def field_table(found: Sequence[tuple[EnrolledDevice, HeardReport | None]], view: RegistryView) -> TerminalTable:
    """Return a row for each device and model; a device that was never heard has one row."""
    rows = [row for device, heard in found for row in _rows(device, heard, view)]
    return TerminalTable("In the field, as devices report it", COLUMNS, rows, noted="needs a look")


def _rows(device: EnrolledDevice, heard: HeardReport | None, view: RegistryView) -> Iterator[Row]:
    if heard is None or not heard.report.models:
        when, number = ("never", "") if heard is None else (_minute(heard.taken_at), f"{heard.report.number:,}")
        cells = (device.name, "-", device.public.profile, "-", "-", "-", when, number, "-", "")
        yield Row(cells, "no report was taken yet" if heard is None else "it runs no model")
        return
    for model in heard.report.models:
        yield _row(device, heard, model, view)


def _row(device: EnrolledDevice, heard: HeardReport, model: ModelInField, view: RegistryView) -> Row:
    deployed = view.deployed_on(model.model, heard.report.profile)
    wanted = "-" if deployed is None else str(deployed.release)
    is_current = deployed is None or model.release == wanted
    drift, agreement = worst_drift(model), shadow_agreement(model)
    cells = (
        device.name,
        model.model,
        heard.report.profile,
        Text(model.release or "-", "" if is_current else "yellow"),
        wanted,
        Text(model.health, "green" if model.health in RUNNING else "red"),
        _minute(heard.taken_at),
        f"{heard.report.number:,}",
        Text("-" if drift is None else f"{drift:.2f}", "" if drift is None or drift < LARGE_DRIFT else "red"),
        "" if agreement is None else f"{agreement:.1%}",
    )
    return Row(cells, _note(heard, model, is_current))


def _note(heard: HeardReport, model: ModelInField, is_current: bool) -> str:
    """Return what a person may want to know beside the figures."""
    said = []
    if model.last_update and (not is_current or model.health not in RUNNING):
        said.append(f"last update: {model.last_update}")
    elif not is_current:
        said.append("it has not taken what is deployed")
    if heard.missing:
        said.append(f"reports that never came: {heard.missing:,}")
    return "; ".join(said)


def _minute(when: str) -> str:
    return when[:16].replace("T", " ")
