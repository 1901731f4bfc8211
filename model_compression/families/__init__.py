"""Families: models that share a backbone, joined into one model that can be pruned and trained, and split again.

Rebuilt programs of several models come in. `shared_backbone` finds the layers that all of them begin with, by what they
compute and never by names, and refuses models that share none. `join` makes of them one model with one output: the
answers of all heads, side by side. `backbone_and_heads` splits such a model again, also a pruned one, into parts that
have its weights; `answers_apart` gives it an output for each head. `backbone_history` keeps, of what was removed, what
the backbone lost; with it, `refitted_head` gives a new head that fits the pruned backbone. `batch_statistics` names the
norms of a program that use those of the batch.
"""

from model_compression.families.batch_norms import batch_statistics
from model_compression.families.common_backbone import Member, SharedBackbone, shared_backbone
from model_compression.families.joining import join
from model_compression.families.refitting import refitted_head
from model_compression.families.splitting import answers_apart, backbone_and_heads, backbone_history

__all__ = [
    "Member",
    "SharedBackbone",
    "answers_apart",
    "backbone_and_heads",
    "backbone_history",
    "batch_statistics",
    "join",
    "refitted_head",
    "shared_backbone",
]
