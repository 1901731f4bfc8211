"""Exports: the release that devices are offered now, in a form that another carrier takes to them.

In comes a signed repository with the names of a model and a device; out goes one folder or one file, whole or not at
all. It holds the signed metadata, the manifest and its blobs, and is verified as a device verifies it before it is
named. A form is a protocol, with a file for each kind.
"""

from tasks.delivery.export.carried_release import CarriedRelease, carry
from tasks.delivery.export.export_form import ExportForm, FormOptions
from tasks.delivery.export.exporting import KINDS, Exported, export_release, form_of

__all__ = ["KINDS", "CarriedRelease", "ExportForm", "Exported", "FormOptions", "carry", "export_release", "form_of"]
