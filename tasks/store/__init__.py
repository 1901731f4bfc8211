"""TODO."""

from tasks.store.cache_keys import code_digests, digest_of, libraries
from tasks.store.stage_store import StageResult, StageStore, clean_leftovers

__all__ = ["StageResult", "StageStore", "clean_leftovers", "code_digests", "digest_of", "libraries"]
