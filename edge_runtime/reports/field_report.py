"""A report of one device: which bundles it has, how its last update ended, and how its models are doing.

It is JSON and is read strictly, since whoever reads it trusts its signature, and not the device that wrote it.
"""

import json
from dataclasses import dataclass
from typing import Any

from edge_runtime.errors import ReportError
from edge_runtime.statistics import MOST_RELEASE, ServedInField, StrictRecord, served_in_field, strict_json

REPORT_TYPE = "application/vnd.edgewright.report+json"
"""The payload type of a report's envelope."""
MOST_REPORT_BYTES = 65_536
"""Bytes of a report's envelope."""
HEALTHS = ("serving", "installed", "missing", "damaged")
"""States of a model: a process answers with it, it is installed, nothing is installed, or its files are damaged."""
MOST_MODELS = 64
MOST_NUMBER = 10**12 - 1
"""The largest number of a report: files of a drop box have twelve digits."""
MOST_ENDING = 500
_FORMAT = 1
_MOST_VERSION = 100


@dataclass(frozen=True)
class ModelInField:
    """One model on a device: the bundle that runs, with empty texts where none is installed, and its health.

    `health` is one of HEALTHS. `last_update` is how the agent's last run ended for it, "" where none has. `served` is
    None where no serving process tells anything.
    """

    model: str
    release: str
    digest: str
    health: str
    last_update: str
    served: ServedInField | None


@dataclass(frozen=True)
class FieldReport:
    """A device's report: `device` is the id of its key, `number` is never given twice by one key.

    A gap between numbers says that reports were dropped because nobody fetched them. `made_at` is UTC by the device's
    clock, which nobody trusts. `profile` is the device profile, `runtime` the version of edgewright-runtime.
    """

    device: str
    number: int
    made_at: str
    profile: str
    runtime: str
    models: tuple[ModelInField, ...]


def to_bytes(report: FieldReport) -> bytes:
    """Return a report as JSON, which from_bytes reads. Raises ReportError for one that it would refuse."""
    plain = {
        "format": _FORMAT, "device": report.device, "number": report.number, "made_at": report.made_at,
        "profile": report.profile, "runtime": report.runtime, "models": [_plain(each) for each in report.models],
    }  # fmt: skip
    try:
        data = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError) as error:
        raise ReportError(f"The report holds what JSON cannot hold: {error}.") from error
    from_bytes(data)
    return data


def from_bytes(data: bytes) -> FieldReport:
    """Read a report strictly. Raises ReportError, which names the field that is not as expected."""
    if len(data) > MOST_REPORT_BYTES:
        raise ReportError(f"The report must have at most {MOST_REPORT_BYTES} bytes, not {len(data)} or more.")
    document = strict_json(data, "The report")
    if isinstance(document, dict) and document.get("format") != _FORMAT:
        raise ReportError(
            f"report.format must be {_FORMAT}, not {ascii(document.get('format'))[:60]}; read it with the release that "
            "wrote it, or with a newer one."
        )
    keys = ("format", "device", "number", "made_at", "profile", "runtime", "models")
    record = StrictRecord(document, "report", keys)
    record.whole("format", _FORMAT, _FORMAT)
    models = tuple(_model(item, where) for item, where in record.items("models", MOST_MODELS))
    if len({each.model for each in models}) != len(models):
        raise ReportError("report.models must have each model once.")
    return FieldReport(
        record.sha256("device"),
        record.whole("number", 1, MOST_NUMBER),
        record.time("made_at"),
        record.component("profile"),
        record.text("runtime", _MOST_VERSION),
        models,
    )


def _plain(model: ModelInField) -> dict[str, Any]:
    return {
        "model": model.model, "release": model.release, "digest": model.digest, "health": model.health,
        "last_update": model.last_update, "served": None if model.served is None else model.served.to_plain(),
    }  # fmt: skip


def _model(value: object, where: str) -> ModelInField:
    record = StrictRecord(value, where, ("model", "release", "digest", "health", "last_update", "served"))
    return ModelInField(
        record.component("model"),
        record.text("release", MOST_RELEASE, may_be_empty=True),
        record.sha256("digest", may_be_empty=True),
        record.choice("health", HEALTHS),
        record.text("last_update", MOST_ENDING, may_be_empty=True),
        served_in_field(record.value("served"), record.where("served")) if record.has("served") else None,
    )
