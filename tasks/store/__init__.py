"""The stage store: results of long steps, kept under the digest of everything that they depend on.

In comes a stage's name, its inputs, the code it stands on and a function that computes it; out goes the stored result.
A result appears by one rename, after everything in it is on disk, and counts only while every file has its digest.
"""

from tasks.store.cache_keys import Code, code_digests, digest_of, libraries, sources_of, stage_key
from tasks.store.stage_begins import duration
from tasks.store.stage_store import StageResult, StageStore
from tasks.store.work_folders import clean_leftovers, scratch_folder

__all__ = [
    "Code",
    "StageResult",
    "StageStore",
    "clean_leftovers",
    "code_digests",
    "digest_of",
    "duration",
    "libraries",
    "scratch_folder",
    "sources_of",
    "stage_key",
]
