"""Devices in the field: `edgewright devices`, `edgewright ingest`, and the flow that ingests on a schedule.

In come public keys that persons carry from devices, and a folder that devices put signed reports into; out go enrolled
devices, runs in MLflow, and a table of what each device runs beside what is deployed for it.
"""

from flows.field.device_commands import devices
from flows.field.ingest_commands import ingest_command

__all__ = ["devices", "ingest_command"]
