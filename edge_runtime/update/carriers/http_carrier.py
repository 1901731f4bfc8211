"""The carrier over HTTP: ranged, resumable downloads that a cap bounds and that are polite to servers.

A large file is asked for in pieces of PIECE bytes, one request each over one connection: so a kill wastes at most one
piece, and never more is under way than the cap allows. A server that knows no ranges still works: what is there already
is received again and passed over, which is logged. What a server says about lengths and ranges must agree with what was
promised in the signed manifest, or nothing of it is read.
"""

import logging
import math
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from edge_runtime.configuration import NetworkSettings
from edge_runtime.errors import UpdateError
from edge_runtime.trust import NotThere
from edge_runtime.update.carriers.asked_wait import retry_after_s
from edge_runtime.update.carriers.daily_traffic import DailyTraffic
from edge_runtime.update.carriers.fetching import check_path
from edge_runtime.update.carriers.http_requests import Answer, BrokenOff, HttpRequests, NoAnswer
from edge_runtime.update.carriers.partial_file import PartialFile, discard
from edge_runtime.update.carriers.politeness import Politeness
from edge_runtime.update.carriers.troubles import Unreachable

PIECE = (1 << 20) - (1 << 14)  # with its headers below 1 MiB
_HEADERS = 2048  # bytes of an answer's head, about
_LEAST = 2 * _HEADERS  # with fewer bytes left for the day nothing is asked
_SYNC_EVERY = 4 << 20
_ATTEMPTS = 3  # without progress in between
_PROGRESS = 1 << 16
_PAUSE_S = 1.0
_WITHOUT_RANGES_S = 6 * 3600.0  # until a file that broke off is received from its start again
_WRONG_S = 86400.0  # until a file that is another one than promised is received again
_ABSENT = (403, 404, 410)
_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")
_log = logging.getLogger(__name__)


class HttpCarrier:
    """Files of a repository behind a URL; a Carrier. Close it, for what was counted is then written down.

    `go_on` is called before each request, and may raise HeldBack to stop a long download cleanly.
    """

    def __init__(
        self,
        url: str,
        settings: NetworkSettings,
        traffic: DailyTraffic,
        politeness: Politeness,
        *,
        go_on: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._requests = HttpRequests(url, settings, traffic.count)
        self._traffic, self._politeness, self._go_on, self._sleep = traffic, politeness, go_on, sleep
        self._cap = settings.bytes_per_day
        self._ranges = True
        self.remembered: list[str] = []
        """Paths that were not asked for because they were not there a short time ago."""

    def close(self) -> None:
        """Close the connections and write down what was received."""
        self._requests.close()
        self._traffic.settle()

    def __call__(self, path: str, most_bytes: int) -> bytes:
        """Return a small file; raises NotThere, Unreachable or HeldBack, and UpdateError for one that is too large."""
        check_path(path)
        attempt = 0
        while True:
            self._may_ask(path, _LEAST)
            try:
                return self._small(path, most_bytes)
            except BrokenOff as error:
                attempt += 1
                self._broke_off(path, attempt, error)
            except NoAnswer as error:
                self._no_answer(error)

    def download(self, path: str, part: Path, *, size: int, sha256: str) -> None:
        """Fill `part` with a file of this size and sha256, from where it was left; it is synced, not renamed.

        Bytes of an earlier run that turn out to be wrong are fetched once more from the start. Raises NotThere,
        Unreachable, HeldBack, and UpdateError for a server that has another file; then no part stays.
        """
        check_path(path)
        with PartialFile(part, size) as file:
            self._fill(path, file)
            if file.sha256() != sha256 and file.earlier:
                _log.warning("%s: %d bytes of an earlier run do not fit; all is fetched again", path, file.earlier)
                file.restart()
                self._fill(path, file)
            found = file.sha256()
            file.sync()
        if found != sha256:
            discard(part)
            self._wrong(path, f"expected a file with the sha256 {sha256}, got {found}", _WRONG_S)
        self._politeness.succeeded(path)

    def _small(self, path: str, most_bytes: int) -> bytes:
        with self._requests.get(path, {}) as answer:
            self._check_status(path, answer, (200,))
            if answer.length is not None and answer.length > most_bytes:
                self._wrong(path, f"expected at most {most_bytes} bytes, got {answer.length}")
            self._traffic.check(answer.length or 0)
            data = b"".join(answer.body(most_bytes + 1))
        if len(data) > most_bytes:
            self._wrong(path, f"expected at most {most_bytes} bytes, got more")
        self._politeness.succeeded(path)
        self._politeness.succeeded(self._requests.server)
        return data

    def _fill(self, path: str, file: PartialFile) -> None:
        attempt = 0
        while file.length < file.size:
            before = file.length
            self._may_ask(path, min(PIECE, max(_LEAST, self._traffic.left)))
            try:
                self._piece(path, file)
                attempt = 0
            except BrokenOff as error:
                attempt = 0 if file.length - before >= _PROGRESS else attempt + 1
                self._broke_off(path, attempt, error)
            except NoAnswer as error:
                self._no_answer(error)
            finally:
                if file.unsynced >= _SYNC_EVERY:
                    file.sync()

    def _piece(self, path: str, file: PartialFile) -> None:
        """Ask for the next bytes of a file and append what comes."""
        ask = min(PIECE, file.size - file.length, self._traffic.left - _HEADERS)
        headers = {"Range": f"bytes={file.length}-{file.length + ask - 1}"}
        if file.length and file.etag:
            headers["If-Range"] = file.etag
        with self._requests.get(path, headers) as answer:
            self._check_status(path, answer, (200, 206))
            if answer.status == 206:
                expected, skip = self._ranged(path, answer, file, ask), 0
            else:
                expected, skip = self._whole(path, answer, file, ask)
            if not file.length:
                file.begin(None if file.restarted else _strong(answer))
            self._append(answer, file, expected, skip)
            if answer.has_more():
                _log.warning("%s: the server sends more than the %d bytes that were expected", path, expected)
        self._politeness.succeeded(self._requests.server)

    def _append(self, answer: Answer, file: PartialFile, expected: int, skip: int) -> None:
        got = 0
        for data in answer.body(expected):
            new = data[max(0, skip - got) :]
            got += len(data)
            file.append(new)
        if got < expected:
            raise BrokenOff(f"{got} of {expected} bytes")

    def _ranged(self, path: str, answer: Answer, file: PartialFile, ask: int) -> int:
        """Return the bytes that a 206 brings, once its words agree with the question."""
        said = answer.headers.get("content-range", "")
        found = _RANGE.fullmatch(said.strip())
        first, last = (int(found[1]), int(found[2])) if found else (-1, -1)
        if (
            found is None
            or first != file.length
            or not first <= last < first + ask
            or found[3] not in (str(file.size), "*")
            or answer.length not in (None, last - first + 1)
        ):
            asked = f"bytes {file.length}-{file.length + ask - 1}/{file.size}"
            self._wrong(path, f"expected {asked}, got {said[:100]!r} with {answer.length} bytes")
        return last - first + 1

    def _whole(self, path: str, answer: Answer, file: PartialFile, ask: int) -> tuple[int, int]:
        """Return the bytes that a 200 brings, and how many of them are there already."""
        if answer.length not in (None, file.size):
            self._wrong(path, f"expected {file.size} bytes, got {answer.length}")
        etag = _strong(answer)
        if file.length and file.etag and etag != file.etag:
            _log.warning("%s: the server has changed the file; %d bytes are fetched again", path, file.length)
            file.restart()
            raise BrokenOff("the file has changed")
        if file.size > ask:
            self._without_ranges(path, file)
        return file.size, file.length

    def _without_ranges(self, path: str, file: PartialFile) -> None:
        """Refuse a file that would never arrive under the cap from a server that knows no ranges."""
        if self._cap is not None and self._cap < file.size + _HEADERS:
            self._wrong(
                path,
                f"the server knows no ranges, so its {file.size} bytes do not fit into network.bytes_per_day; raise "
                "that, or serve the folder with ranges",
            )
        self._traffic.check(file.size)
        if self._ranges:
            self._ranges = False
            _log.warning("%s knows no ranges: an interrupted file is received from its start", self._requests.server)

    def _may_ask(self, path: str, count: int) -> None:
        self._go_on()
        if (wait := self._politeness.wait_s(path)) > 0 and self._politeness.is_absent(path):
            self.remembered.append(path)
            raise NotThere(f"{path} was not there a short time ago; it is asked for again in {math.ceil(wait)} s.")
        wait = max(wait, self._politeness.wait_s(self._requests.server))
        if wait > 0:
            self._politeness.remember()
            raise Unreachable(f"{self._requests.server} failed before; it is asked again in {math.ceil(wait)} s.")
        self._traffic.check(count)

    def _check_status(self, path: str, answer: Answer, fine: tuple[int, ...]) -> None:
        if answer.status in fine:
            encoding = answer.headers.get("content-encoding", "identity").strip().lower()
            if encoding not in ("", "identity"):
                self._wrong(path, f"expected the file as it is, got it encoded as {encoding[:40]!r}")
            return
        if answer.status in _ABSENT:
            wait = self._politeness.failed(path, absent=True)
            raise NotThere(
                f"{path} is not there ({answer.status}); it is asked for again in {math.ceil(wait)} s at the earliest."
            )
        whole_server = answer.status in (429, 503)
        wait = self._politeness.failed(
            self._requests.server if whole_server else path,
            retry_after_s=retry_after_s(answer.headers.get("retry-after", "")),
        )
        raise Unreachable(
            f"{self._requests.server} answered {answer.status} for {path}; it is asked again in {math.ceil(wait)} s at "
            "the earliest."
        )

    def _broke_off(self, path: str, attempts: int, error: BrokenOff) -> None:
        """Pause before the next attempt, or raise Unreachable after too many without progress."""
        if attempts and not self._ranges:
            self._politeness.failed(path, retry_after_s=_WITHOUT_RANGES_S)
            attempts = _ATTEMPTS
        if attempts >= _ATTEMPTS:
            self._politeness.failed(self._requests.server)
            raise Unreachable(
                f"{self._requests.server} breaks off {path}: {error}; it is tried again later."
            ) from error
        self._sleep(_PAUSE_S * 2.0 ** (attempts - 1) * (0.5 + random.random()))

    def _no_answer(self, error: NoAnswer) -> NoReturn:
        wait = self._politeness.failed(self._requests.server)
        raise Unreachable(
            f"{self._requests.server}: {error}. It is asked again in {math.ceil(wait)} s at the earliest."
        ) from error

    def _wrong(self, path: str, found: str, again_s: float = 0.0) -> NoReturn:
        self._politeness.failed(path, retry_after_s=again_s)
        raise UpdateError(f"{self._requests.server}, {path}: {found}. Nothing was changed; look at the server.")


def _strong(answer: Answer) -> str | None:
    etag = answer.headers.get("etag", "").strip()
    return etag if etag.startswith('"') and etag.endswith('"') and len(etag) > 2 else None
