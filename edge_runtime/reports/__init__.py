"""Reports of a device: what it has, how its updates end, and how its models are doing, signed by the device's own key.

`DeviceReports` takes the device's configuration. It makes a `FieldReport`, keeps it in a bounded `ReportSpool`, and
puts it into a drop box, over HTTP or into a folder that a person carries. Whoever reads the box takes each envelope to
`verified` with the key of that device, which a person has carried from it as the document of a `PublicDeviceKey`.
Whatever is wrong with a report or a key is a ReportError that names the field.
"""

from edge_runtime.errors import ReportError
from edge_runtime.reports.device_key import DEVICE_KEY, MOST_KEY_BYTES, DeviceKey, PublicDeviceKey
from edge_runtime.reports.device_reports import BUDGET_S, MOST_REJECTED, DeviceReports, Sending
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
from edge_runtime.reports.report_spool import MOST_REPORTS, SPOOL, ReportSpool, SpooledReport
from edge_runtime.reports.signed_report import signed, verified
from edge_runtime.statistics import OUTCOMES, Histogram, ServedInField, ShadowStatistics, TensorDrift, drift_index

__all__ = [
    "BUDGET_S",
    "DEVICE_KEY",
    "HEALTHS",
    "MOST_KEY_BYTES",
    "MOST_MODELS",
    "MOST_NUMBER",
    "MOST_REJECTED",
    "MOST_REPORTS",
    "MOST_REPORT_BYTES",
    "OUTCOMES",
    "REPORT_TYPE",
    "SPOOL",
    "DeviceKey",
    "DeviceReports",
    "FieldReport",
    "Histogram",
    "ModelInField",
    "PublicDeviceKey",
    "ReportError",
    "ReportSpool",
    "Sending",
    "ServedInField",
    "ShadowStatistics",
    "SpooledReport",
    "TensorDrift",
    "drift_index",
    "from_bytes",
    "signed",
    "to_bytes",
    "verified",
]
