"""Families: a registered model that is made of registered models with one backbone.

The recipe of a family and the versions of its members come in. `compose` shows that they share a backbone, joins them,
and registers what comes of it as the next version of the family's model; nothing is trained. From there on a family is
compressed as any other registered version.
"""

from tasks.families.composing import Composition, compose
from tasks.families.family_record import FamilyRecord, RecordedMember

__all__ = ["Composition", "FamilyRecord", "RecordedMember", "compose"]
