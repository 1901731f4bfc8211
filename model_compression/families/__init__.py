"""Families: models that share a backbone, joined into one model that can be pruned and trained, and split again.

Rebuilt programs of several models come in. `shared_backbone` finds the layers that all of them begin with, by what they
compute and never by names, and refuses models that share none. `join` makes of them one model with one output: the
answers of all heads, side by side. `backbone_and_heads` splits such a model again, also a pruned one, into parts that
have its weights, and `answers_apart` gives it an output for each head.

For a new version of a member, `backbone_history` keeps, of what was removed, what the backbone lost; with it,
`refitted_head` gives a new head that fits the pruned backbone, and `with_heads` puts it in the place of the former one.
`save_program` writes a model down as a program. `batch_statistics` names the norms of a program that use those of the
batch.
"""

from model_compression.families.batch_norms import batch_statistics
from model_compression.families.common_backbone import Member, SharedBackbone, shared_backbone
from model_compression.families.joining import join
from model_compression.families.kept_programs import export_program, save_program, some_rows
from model_compression.families.refitting import refitted_head
from model_compression.families.replacing import with_heads
from model_compression.families.splitting import answers_apart, backbone_and_heads, backbone_history

__all__ = [
    "Member",
    "SharedBackbone",
    "answers_apart",
    "backbone_and_heads",
    "backbone_history",
    "batch_statistics",
    "export_program",
    "join",
    "refitted_head",
    "save_program",
    "shared_backbone",
    "some_rows",
    "with_heads",
]
