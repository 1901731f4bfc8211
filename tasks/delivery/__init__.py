"""Delivery: a judged candidate into a bundle at a destination; approvals, sign-offs and rollbacks of persons.

In comes a verdict that lets a candidate through, with the file that was judged; out goes a whole bundle, which the
registry's aliases name afterwards. An approval is the one way past a failed gate; a sign-off is asked for between the
gates and the publication. A destination is a protocol: a folder is the first one. `export_release` takes what devices
are offered out again, for other carriers.
"""

from tasks.delivery.approvals import approve_version, with_recorded_approval
from tasks.delivery.bundle_content import Publication
from tasks.delivery.destinations import Destination, FolderDestination
from tasks.delivery.documents import documents_of
from tasks.delivery.export import FormOptions, export_release, form_of
from tasks.delivery.known_answers import KnownAnswers, standing_answers, still_waits, superseded
from tasks.delivery.offers import check_keys
from tasks.delivery.publication import is_in_place, is_older, publish, recover
from tasks.delivery.rollback import lift_hold, roll_back
from tasks.delivery.sign_offs import Person, settle_sign_offs, sign_off_version, signed_before

__all__ = [
    "Destination",
    "FolderDestination",
    "FormOptions",
    "KnownAnswers",
    "Person",
    "Publication",
    "approve_version",
    "check_keys",
    "documents_of",
    "export_release",
    "form_of",
    "is_in_place",
    "is_older",
    "lift_hold",
    "publish",
    "recover",
    "roll_back",
    "settle_sign_offs",
    "sign_off_version",
    "signed_before",
    "standing_answers",
    "still_waits",
    "superseded",
    "with_recorded_approval",
]
