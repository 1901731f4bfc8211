"""The field: reports that devices sign and put into a drop box, taken once each and told to the registry.

In come the public keys of devices, which persons enrol, and files that anybody may have written; out go runs in MLflow,
counts on the pages of releases, and sentences about what was refused. Nothing here is read by a gate or by the search:
what is in the field is neither the deployed release nor the reference.
"""

from tasks.field.drop_box import BoxLimits, ReportBox, name_of
from tasks.field.enrolment import (
    EnrolledDevice,
    Enrolments,
    HeardReport,
    check_fingerprint,
    read_public_key,
)
from tasks.field.field_figures import RUNNING, figures_of, shadow_agreement, worst_drift
from tasks.field.ingesting import Ingested, ingest_box

__all__ = [
    "RUNNING",
    "BoxLimits",
    "EnrolledDevice",
    "Enrolments",
    "HeardReport",
    "Ingested",
    "ReportBox",
    "check_fingerprint",
    "figures_of",
    "ingest_box",
    "name_of",
    "read_public_key",
    "shadow_agreement",
    "worst_drift",
]
