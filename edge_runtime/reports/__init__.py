"""Reports of a device: what it has, how its updates end, and how its models are doing, signed by the device's own key.

A `FieldReport` is made on the device, kept in a bounded spool, and put into a drop box over HTTP or by hand. Whoever
reads the box takes each envelope to `verified` with the key of that device, which a person has carried from it as the
document of a `PublicDeviceKey`. Whatever is wrong with a report or a key is a ReportError that names the field.
"""

from edge_runtime.errors import ReportError
from edge_runtime.reports.device_key import DEVICE_KEY, MOST_KEY_BYTES, DeviceKey, PublicDeviceKey
from edge_runtime.reports.field_report import (
    HEALTHS,
    MOST_MODELS,
    MOST_NUMBER,
    MOST_REPORT_BYTES,
    REPORT_TYPE,
    FieldReport,
    ModelInField,
    from_bytes,
    to_bytes,
)
from edge_runtime.reports.signed_report import signed, verified
from edge_runtime.statistics import OUTCOMES, Histogram, ServedInField, ShadowStatistics, TensorDrift, drift_index

__all__ = [
    "DEVICE_KEY",
    "HEALTHS",
    "MOST_KEY_BYTES",
    "MOST_MODELS",
    "MOST_NUMBER",
    "MOST_REPORT_BYTES",
    "OUTCOMES",
    "REPORT_TYPE",
    "DeviceKey",
    "FieldReport",
    "Histogram",
    "ModelInField",
    "PublicDeviceKey",
    "ReportError",
    "ServedInField",
    "ShadowStatistics",
    "TensorDrift",
    "drift_index",
    "from_bytes",
    "signed",
    "to_bytes",
    "verified",
]
