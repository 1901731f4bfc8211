"""Delivery: a judged candidate into a bundle at a destination; approvals, the one way past a failed gate; rollbacks.

In comes a verdict that lets a candidate through, with the file that was judged; out goes a whole bundle, which the
registry's aliases name afterwards. A destination is a protocol: a folder is the first one.
"""

from tasks.delivery.approvals import approve_version, with_recorded_approval
from tasks.delivery.destinations import BundleContent, Destination, FolderDestination
from tasks.delivery.known_answers import KnownAnswers, standing_answers, superseded
from tasks.delivery.publication import Publication, is_in_place, is_older, publish, recover
from tasks.delivery.rollback import lift_hold, roll_back

__all__ = [
    "BundleContent",
    "Destination",
    "FolderDestination",
    "KnownAnswers",
    "Publication",
    "approve_version",
    "is_in_place",
    "is_older",
    "lift_hold",
    "publish",
    "recover",
    "roll_back",
    "standing_answers",
    "superseded",
    "with_recorded_approval",
]
