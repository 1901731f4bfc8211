"""From a target path to verified bytes: metadata is refreshed and made durable, and the target checked against it."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.exceptions import DownloadLengthMismatchError, LengthOrHashMismatchError
from tuf.api.metadata import TargetFile

from edge_runtime.errors import DeviceFailed, TrustError, UpdateError
from edge_runtime.trust.fetch_protocol import Fetch
from edge_runtime.trust.metadata_store import MetadataStore
from edge_runtime.trust.refusals import refusal
from edge_runtime.trust.tuf_session import FilesOnce
from edge_runtime.trust.verification import verify

LONGEST_WAIT_S = 60.0
MOST_TARGET_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class TrustedTarget:
    """A verified target: its bytes, their sha256, its target path, and its file below the repository's root."""

    data: bytes
    sha256: str
    path: str
    file: str


def trusted_manifest(
    folder: Path | str,
    root: bytes,
    fetch: Fetch,
    model: str,
    device: str,
    *,
    kept: Fetch | None = None,
    now: datetime | None = None,
    longest_wait_s: float = LONGEST_WAIT_S,
) -> TrustedTarget:
    """Return the verified manifest of a model's newest release for a device; see trusted_targets."""
    for what, name in (("model", model), ("device", device)):
        if not _NAME.fullmatch(name):
            raise TrustError(f"The {what} must be named by letters, digits, dots, dashes or underscores, not {name!r}.")
    paths = [f"{model}/{device}/manifest.json"]
    (target,) = trusted_targets(folder, root, fetch, paths, kept=kept, now=now, longest_wait_s=longest_wait_s)
    return target


def trusted_targets(
    folder: Path | str,
    root: bytes,
    fetch: Fetch,
    paths: Sequence[str],
    *,
    kept: Fetch | None = None,
    now: datetime | None = None,
    most_bytes: int = MOST_TARGET_BYTES,
    longest_wait_s: float = LONGEST_WAIT_S,
) -> list[TrustedTarget]:
    """Refresh the metadata in a folder and return verified targets; with no paths only the metadata is refreshed.

    `root` is the root that the device was shipped with, the source of all trust. `kept` is asked for a target before
    `fetch` is, such as the device's own store; what it gives is verified too. `now` is the clock's time, in UTC. A
    target may have `most_bytes`.

    Expiry is judged at the clock's time or at the floor of time, whichever is later. The floor is the latest
    `signed_at` of a timestamp whose metadata was verified as a whole.

    Raises TrustError for what must not be trusted, DeviceFailed where the disk is full or fails, and lets the
    UpdateError of a Fetch through, which is also raised where another process holds the folder for longer than
    `longest_wait_s`. The folder then holds what was verified until then, and nothing older than before.
    """
    store, files, clock = MetadataStore(folder), FilesOnce(fetch), now or datetime.now(UTC)
    try:
        with store.alone(longest_wait_s):
            verified = verify(store, root, files, paths, clock)
    except OSError as error:
        raise DeviceFailed(
            f"The metadata in {folder} must be durable before it counts, got: {error}; make room or mend the folder."
        ) from error
    hashed = bool(verified.root.consistent_snapshot)
    sources = [FilesOnce(kept)] if kept else []
    return [_verified_target(info, _file_of(info, hashed), [*sources, files], most_bytes) for info in verified.targets]


def _verified_target(info: TargetFile, file: str, sources: Sequence[FilesOnce], most_bytes: int) -> TrustedTarget:
    """Return a target from the first source that has its very bytes; the error of the last source if none has."""
    if info.length > most_bytes:
        raise TrustError(
            f"The target {info.path!r} may have {most_bytes} bytes, got {info.length} in its metadata; publish a "
            "smaller one."
        )
    *before, last = sources
    for source in before:
        try:
            return _from_source(info, file, source)
        except (TrustError, UpdateError):
            continue
    return _from_source(info, file, last)


def _from_source(info: TargetFile, file: str, source: FilesOnce) -> TrustedTarget:
    try:
        data = source.get(file, info.length)
        info.verify_length_and_hashes(data)
    except (DownloadLengthMismatchError, LengthOrHashMismatchError) as error:
        raise refusal(error, file) from error
    return TrustedTarget(data, hashlib.sha256(data).hexdigest(), info.path, file)


def _file_of(info: TargetFile, hashed: bool) -> str:
    """Return the file of a target below the repository's root, named by its hash where the root says so."""
    folder, slash, name = f"targets/{info.path}".rpartition("/")
    digest = info.hashes.get("sha256") or next(iter(info.hashes.values()))
    return f"{folder}{slash}{digest}.{name}" if hashed else f"targets/{info.path}"
