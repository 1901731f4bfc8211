"""The making of a report: what the store, the last update and the process that serves tell, in one document."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import edge_runtime
from edge_runtime.configuration import UpdateConfiguration
from edge_runtime.errors import BundleError, ReportError
from edge_runtime.install import DeviceStore, ModelStatus, statuses
from edge_runtime.reports.device_key import DeviceKey
from edge_runtime.reports.field_report import MOST_ENDING, MOST_MODELS, FieldReport, ModelInField
from edge_runtime.reports.signed_report import signed
from edge_runtime.statistics import MOST_RELEASE, ServedModel, ServingRecord
from edge_runtime.update import EndingRecords, ModelEnding

_ENDINGS = "update.json"
_log = logging.getLogger("edgewright")


def models_in_field(
    configuration: UpdateConfiguration, record: ServingRecord | None, *, at_work: bool
) -> tuple[ModelInField, ...]:
    """Return what is known of every model, the configured ones first, at most MOST_MODELS.

    `record` is what a process that serves wrote last, and `at_work` tells whether it still serves.
    """
    store = DeviceStore(configuration.state, configuration.device)
    found = {status.model: status for status in statuses(store)}
    endings = {ending.model: ending for ending in EndingRecords(configuration.state / _ENDINGS).read()}
    served = {each.model: each for each in record.models} if record is not None else {}
    names = list(dict.fromkeys((*configuration.models, *sorted({*found, *served}))))[:MOST_MODELS]
    return tuple(_model(store, name, found.get(name), endings.get(name), served.get(name), at_work) for name in names)


def signed_report(
    configuration: UpdateConfiguration, key: DeviceKey, number: int, models: tuple[ModelInField, ...], now: datetime
) -> bytes:
    """Return the envelope of a report, without what makes it too long. Raises ReportError."""
    report = FieldReport(
        key.public.device, number, f"{now:%Y-%m-%dT%H:%M:%SZ}", configuration.device, edge_runtime.__version__, models
    )
    troubles: list[ReportError] = []
    for shorter in _ever_shorter(report):
        try:
            envelope = signed(shorter, key)
        except ReportError as error:
            troubles.append(error)
            continue
        if troubles:
            _log.warning("The report %d lacks figures of what serves: %s", number, troubles[0])
        return envelope
    raise troubles[0]


def _ever_shorter(report: FieldReport) -> Iterator[FieldReport]:
    yield report
    without_drift = (
        replace(each, served=None if each.served is None else replace(each.served, drift=())) for each in report.models
    )
    yield replace(report, models=tuple(without_drift))
    yield replace(report, models=tuple(replace(each, served=None) for each in report.models))


def _model(
    store: DeviceStore,
    name: str,
    status: ModelStatus | None,
    ending: ModelEnding | None,
    served: ServedModel | None,
    at_work: bool,
) -> ModelInField:
    digest = (status.state.current or "") if status is not None else ""
    release = status.current.manifest.release if status is not None and status.current is not None else ""
    answers = served is not None and served.ready and at_work
    if served is not None and answers:
        release, digest = served.release, served.digest
    return ModelInField(
        name, release[:MOST_RELEASE], digest, _health(store, name, status, answers), _told(ending),
        None if served is None else served.figures,
    )  # fmt: skip


def _health(store: DeviceStore, name: str, status: ModelStatus | None, answers: bool) -> str:
    """Return the health of a model: damage counts for more than that it answers from memory."""
    if status is not None and status.lost is not None:
        return "damaged"
    if status is not None and status.state.current is not None and not _is_whole(store, name, status.state.current):
        return "damaged"
    if answers:
        return "serving"
    return "missing" if status is None or status.state.current is None else "installed"


def _is_whole(store: DeviceStore, name: str, digest: str) -> bool:
    try:
        return store.is_complete(name, digest)
    except BundleError:
        return False


def _told(ending: ModelEnding | None) -> str:
    if ending is None:
        return ""
    since = f" since {ending.since}" if ending.since else ""
    told = f"{ending.exit.name.lower().replace('_', ' ')}{since}: {ending.message}"
    return "".join(each if each.isprintable() else "?" for each in " ".join(told.split()))[:MOST_ENDING]
