"""The daily look at every byte of what runs: flash forgets, and sizes do not tell.

`running` would find the damage, and the bundle before would run from then on. Only a look of the agent mends it.
"""

import json
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from edge_runtime.errors import BundleError
from edge_runtime.files import open_regular, write_atomic
from edge_runtime.install.store import DeviceStore

logger = logging.getLogger("edgewright")
LOOKED_AT = "looked_at.json"
EVERY = timedelta(days=1)
_MOST_BYTES = 1 << 16
_MOST_KEPT = 50


def is_intact(store: DeviceStore, model: str, digest: str, now: datetime) -> bool:
    """Tell whether a stored bundle is whole, byte by byte; one that was whole within a day is not read again."""
    looked = _read(store)
    last = looked.get(digest)
    if last is not None and timedelta(0) <= now - last < EVERY:
        return True
    try:
        store.verified(model, digest)
    except BundleError as error:
        logger.error("%s: what runs is damaged, and is brought again: %s", model, error)
        return False
    kept = dict(sorted((looked | {digest: now}).items(), key=lambda pair: pair[1])[-_MOST_KEPT:])
    with suppress(OSError):  # without the record, it is looked at again the next time
        text = json.dumps({each: f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for each, when in kept.items()})
        write_atomic(store.root / LOOKED_AT, text.encode())
    return True


def _read(store: DeviceStore) -> dict[str, datetime]:
    """Return when bundles were seen to be whole; nothing where the record is lost or damaged."""
    try:
        with open_regular(store.root / LOOKED_AT) as file:
            document = json.loads(file.read(_MOST_BYTES))
        return {
            str(digest): datetime.strptime(when, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            for digest, when in document.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
