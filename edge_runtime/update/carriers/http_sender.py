"""The way out: small files are put below a URL, with the patience, the cap and the checks that updates have.

Each file is put with `If-None-Match: *`, so that a server overwrites nothing; one that has the file already, as after
an answer that was lost on its way, is asked for it, and what it has is compared.
"""

import logging
import math
import random
import time
from collections.abc import Callable
from typing import NoReturn

from edge_runtime.configuration import NetworkSettings
from edge_runtime.update.carriers.asked_wait import retry_after_s
from edge_runtime.update.carriers.daily_traffic import DailyTraffic
from edge_runtime.update.carriers.fetching import check_path
from edge_runtime.update.carriers.http_requests import Answer, BrokenOff, HttpRequests, NoAnswer
from edge_runtime.update.carriers.politeness import Politeness
from edge_runtime.update.carriers.troubles import Rejected, Unreachable

_SENT = (200, 201, 204)
_LATER = (408, 425, 429)
_HEADERS = 2048  # bytes of the heads of a question and its answer, about
_ATTEMPTS = 3
_PAUSE_S = 1.0
_log = logging.getLogger(__name__)


class HttpSender:
    """Files that are put below a URL. Close it, for what was counted is then written down.

    `go_on` is called before each request, and may raise HeldBack.
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

    def close(self) -> None:
        """Close the connections and write down what was sent and received."""
        self._requests.close()
        self._traffic.settle()

    def put(self, path: str, data: bytes, media_type: str) -> None:
        """Put a file; return once the server has it.

        Raises Rejected where the server does not take this file, Unreachable where it may take it later, and HeldBack.
        """
        check_path(path)
        attempt = 0
        while True:
            self._may_ask(len(data) + _HEADERS)
            try:
                self._put(path, data, media_type)
            except BrokenOff as error:
                attempt += 1
                if attempt >= _ATTEMPTS:
                    self._failed(f"breaks off {path}: {error}")
                self._sleep(_PAUSE_S * 2.0 ** (attempt - 1) * (0.5 + random.random()))
                continue
            except NoAnswer as error:
                self._failed(f"does not take {path}: {error}")
            self._politeness.succeeded(self._requests.server)
            return

    def _put(self, path: str, data: bytes, media_type: str) -> None:
        with self._requests.put(path, data, {"Content-Type": media_type, "If-None-Match": "*"}) as answer:
            status, wait_s = answer.status, retry_after_s(answer.headers.get("retry-after", ""))
            where = answer.headers.get("location", "")[:200]
        if status in _SENT:
            return
        if status == 412:
            self._compare(path, data)
        elif 300 <= status < 400:
            self._failed(f"sends {path} elsewhere ({status} to {where!a}), which is not followed; mend the URL")
        elif 400 <= status < 500 and status not in _LATER:
            raise Rejected(f"{self._requests.server} does not take {path}: it answered {status}.")
        else:
            self._failed(f"answered {status} for {path}", wait_s)

    def _compare(self, path: str, data: bytes) -> None:
        """Return where a server that has the file already has this very one, or does not show it."""
        self._may_ask(len(data) + _HEADERS)
        with self._requests.get(path, {}) as answer:
            status = answer.status
            found = self._body(answer, len(data)) if status == 200 else b""
        if status == 200 and found != data:
            raise Rejected(f"{self._requests.server} has another file as {path}, which it does not replace.")
        if status in (429, *range(500, 600)):
            self._failed(f"answered {status} for {path}")
        if status != 200:
            _log.warning("%s has %s already, and does not show it (%d)", self._requests.server, path, status)

    def _body(self, answer: Answer, expected: int) -> bytes:
        return b"".join(answer.body(expected + 1))

    def _may_ask(self, count: int) -> None:
        self._go_on()
        wait = self._politeness.wait_s(self._requests.server)
        if wait > 0:
            self._politeness.remember()
            raise Unreachable(f"{self._requests.server} failed before; it is asked again in {math.ceil(wait)} s.")
        self._traffic.check(count)

    def _failed(self, what: str, after_s: float = 0.0) -> NoReturn:
        wait = self._politeness.failed(self._requests.server, retry_after_s=after_s)
        raise Unreachable(f"{self._requests.server} {what}. It is asked again in {math.ceil(wait)} s at the earliest.")
