"""Signed reports: DSSE envelopes, which carry a report as it was signed."""

import base64
import binascii
import json

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, Signature

from edge_runtime.errors import ReportError
from edge_runtime.reports.device_key import DeviceKey
from edge_runtime.reports.field_report import MOST_REPORT_BYTES, REPORT_TYPE, FieldReport, from_bytes, to_bytes
from edge_runtime.statistics import StrictRecord, strict_json

_MOST_SIGNATURE = 256


def signed(report: FieldReport, key: DeviceKey) -> bytes:
    """Return the envelope of a report. Raises ReportError for one that `verified` would refuse."""
    if report.device != key.public.device:
        raise ReportError(f"The report must name the device {key.public.device}, not {report.device}.")
    envelope = Envelope(to_bytes(report), REPORT_TYPE, {})
    envelope.sign(key.signer)
    data = json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode("ascii")
    _check_size(data)
    return data


def verified(envelope: bytes, key: Key) -> FieldReport:
    """Return the report in an envelope that a device's key signed.

    Raises ReportError for another key, another type of payload, more than MOST_REPORT_BYTES, a report of another
    device, and whatever is malformed.
    """
    _check_size(envelope)
    read = _read(envelope)
    if read.payload_type != REPORT_TYPE:
        raise ReportError(f"The envelope must hold a report ({REPORT_TYPE}), not {ascii(read.payload_type)[:80]}.")
    try:
        read.verify([key], 1)
    except (VerificationError, ValueError) as error:
        raise ReportError(f"The envelope must be signed by the device {key.keyid}, and is not.") from error
    report = from_bytes(read.payload)
    if report.device != key.keyid:
        raise ReportError(f"report.device must be {key.keyid}, whose key signed it, not {report.device}.")
    return report


def _check_size(envelope: bytes) -> None:
    if len(envelope) > MOST_REPORT_BYTES:
        raise ReportError(f"The envelope must have at most {MOST_REPORT_BYTES} bytes, not {len(envelope)} or more.")


def _read(data: bytes) -> Envelope:
    record = StrictRecord(strict_json(data, "The envelope"), "envelope", ("payload", "payloadType", "signatures"))
    payload = _base64(record.text("payload", MOST_REPORT_BYTES), record.where("payload"))
    ((signature, where),) = record.items("signatures", 1, 1)
    one = StrictRecord(signature, where, ("keyid", "sig"))
    said = Signature(one.sha256("keyid"), _base64(one.text("sig", _MOST_SIGNATURE), one.where("sig")).hex())
    return Envelope(payload, record.text("payloadType", 200), {said.keyid: said})


def _base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ReportError(f"{where} must be base64, and is not: {error}.") from error
