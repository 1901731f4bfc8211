"""One run of python-tuf over a scratch copy of the metadata, at a time that the caller chooses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import tuf
from tuf.api.exceptions import DownloadHTTPError, DownloadLengthMismatchError
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from edge_runtime.errors import EdgewrightError, TrustError, UpdateError, is_of_system
from edge_runtime.trust.fetch_protocol import Fetch, NotThere
from edge_runtime.trust.metadata_store import MOST_BYTES
from edge_runtime.trust.refusals import refusal

MOST_ROTATIONS = 256  # of the root since the shipped one
_LIMITS = UpdaterConfig(
    max_root_rotations=MOST_ROTATIONS,
    max_delegations=8,  # a device's path leads through one role
    root_max_length=1 << 18,
    timestamp_max_length=1 << 14,
    snapshot_max_length=1 << 20,
    targets_max_length=MOST_BYTES,
)


class FilesOnce(FetcherInterface):
    """Files of a repository, each fetched once: python-tuf can run again without another request.

    `reading` is the path that was asked for last.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._from_repository = fetch
        self._got: dict[str, bytes | NotThere] = {}
        self.reading = "the root that this device was shipped with"

    def get(self, path: str, most_bytes: int) -> bytes:
        """Return a file's bytes. Raises NotThere, UpdateError, and DownloadLengthMismatchError if it is too long."""
        self.reading = path
        if path not in self._got:
            self._got[path] = self._ask(path, most_bytes)
        got = self._got[path]
        if isinstance(got, NotThere):
            raise got
        if len(got) > most_bytes:
            raise DownloadLengthMismatchError(f"more than {most_bytes} bytes")
        return got

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return metadata to python-tuf, which takes a file that is not there for the end of the roots."""
        try:
            return self.get(url, min(max_length, MOST_BYTES))  # a snapshot names lengths, and its key is online
        except NotThere as error:
            raise DownloadHTTPError(str(error), 404) from error

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self.download_bytes(url, MOST_BYTES)

    def _ask(self, path: str, most_bytes: int) -> bytes | NotThere:
        try:
            return self._from_repository(path, most_bytes)
        except NotThere as error:
            return error
        except OSError as error:
            raise UpdateError(f"The file {path!r} of the repository was not fetched: {error}; try again.") from error


@dataclass(frozen=True)
class UpdaterRun:
    """The end of a run: the targets that were asked for, None where the metadata lists none, or the error."""

    targets: Sequence[TargetFile | None] = ()
    error: EdgewrightError | None = None


def run_updater(scratch: Path, root: bytes, files: FilesOnce, paths: Sequence[str], time: datetime) -> UpdaterRun:
    """Refresh the metadata in a scratch folder, judged at a time, and look up target paths in it."""
    try:
        updater = Updater(str(scratch), "metadata", fetcher=files, config=_LIMITS, bootstrap=root)
        _set_time(updater, time)
        updater.refresh()
        return UpdaterRun([updater.get_targetinfo(path) for path in paths])
    except DownloadHTTPError as error:
        return UpdaterRun(error=error.__cause__ if isinstance(error.__cause__, NotThere) else UpdateError(str(error)))
    except EdgewrightError as error:
        return UpdaterRun(error=error)
    except Exception as error:  # hostile bytes raise more than python-tuf says
        if is_of_system(error):
            raise
        refused = refusal(error, files.reading, time)
        refused.__cause__ = error
        return UpdaterRun(error=refused)


def _set_time(updater: Updater, time: datetime) -> None:
    """Let an updater judge expiry at a time: it has no argument for this, its trusted set reads the clock."""
    if not isinstance(vars(updater._trusted_set).get("reference_time"), datetime):
        raise TrustError(
            f"This python-tuf {tuf.__version__} takes the time from elsewhere than version 7.0.1, for which this code "
            "is written: install tuf==7.0.1."
        )
    updater._trusted_set.reference_time = time
