"""One GET or PUT over HTTP: proxies, certificates, redirects, deadlines; every trouble of the network is one exception.

urllib3 carries the bytes. Its `retries` and redirects are off: who asks again, and whom, is decided here. A server may
not keep an update waiting by sending a byte now and then: the head of an answer has a deadline, and its body must come
at LEAST_BYTES in each `timeout_s`.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout, make_headers

from edge_runtime.configuration import BadConfiguration, NetworkSettings

LEAST_BYTES = 1024
_MOST_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_HEAD_DEADLINES = 3  # the whole head of an answer may take so many times `timeout_s`
_CHUNK = 1 << 16
_SMALL = 1 << 13
_LINE = 20  # bytes of the first line of an answer, about
_RECEIVE_BUFFER = 1 << 18  # what the kernel takes beyond what was read, which a kill wastes
_OPTIONS = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)]


class BrokenOff(Exception):  # noqa: N818 - it names an event
    """An answer that ended early, or came too slowly; asking again from where it ended may help."""


class NoAnswer(Exception):  # noqa: N818 - it names an event
    """A server that cannot be reached, or sends elsewhere; asking again at once would not help."""


class Answer:
    """The head of an answer: status, headers, and the body as chunks."""

    def __init__(self, response: urllib3.BaseHTTPResponse, timeout_s: float, count: Callable[[int], None]) -> None:
        self._response, self._timeout_s, self._count = response, timeout_s, count
        self.status, self.headers = response.status, response.headers
        self._count(_LINE + sum(len(name) + len(value) + 4 for name, value in response.headers.items()))

    @property
    def length(self) -> int | None:
        """The length of the body that the server promises, or None."""
        text = self.headers.get("content-length", "").strip()
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None

    def body(self, most: int) -> Iterator[bytes]:
        """Yield the body as it comes, at most so many bytes; raises BrokenOff where it ends early or crawls."""
        got, window_got, window_from = 0, 0, time.monotonic()
        while got < most:
            try:
                data = self._response.read1(min(_CHUNK, most - got), decode_content=False)
            except (HTTPError, OSError, http.client.HTTPException, ValueError) as error:
                raise BrokenOff(_in_words(error)) from error
            if not data:
                return
            got += len(data)
            window_got += len(data)
            self._count(len(data))
            yield data
            if time.monotonic() - window_from > self._timeout_s:
                if window_got < LEAST_BYTES:
                    raise BrokenOff(f"{window_got} bytes in {self._timeout_s:g} s")
                window_got, window_from = 0, time.monotonic()

    def has_more(self) -> bool:
        """Tell whether a body in chunks goes on; where it has ended, its connection can be used again."""
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return False
        try:
            return any(self.body(1))
        except BrokenOff:
            return False


class HttpRequests:
    """GETs and PUTs below one URL over connections that are kept open."""

    def __init__(self, url: str, settings: NetworkSettings, count: Callable[[int], None]) -> None:
        self._base, self._settings, self._count = urlsplit(url + "/"), settings, count
        self._allowed = {self._base.hostname, *(host.lower() for host in settings.redirect_hosts)}
        self._pool = _pool(url, settings)
        self.server = f"{self._base.scheme}://{self._base.netloc}"

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    @contextmanager
    def get(self, path: str, headers: Mapping[str, str]) -> Iterator[Answer]:
        """Ask for a path below the URL, and follow redirects that are allowed.

        Raises BrokenOff where the connection ended before the answer, and NoAnswer where there was none, or where the
        answer is a redirect that must not be followed.
        """
        url = urljoin(self._base.geturl(), quote(path))
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._request("GET", url, headers)
            try:
                answer = Answer(response, self._settings.timeout_s, self._count)
                if response.status not in _REDIRECTS:
                    yield answer
                    return
            except BrokenOff:
                response.close()
                raise
            finally:
                _finish(response, answer)
            url = self._redirected(url, answer.headers.get("location", ""))
        raise NoAnswer(f"expected at most {_MOST_REDIRECTS} redirects for {path}, got more")

    @contextmanager
    def put(self, path: str, data: bytes, headers: Mapping[str, str]) -> Iterator[Answer]:
        """Put a small file at a path below the URL; no redirect is followed. What is sent is counted.

        Raises BrokenOff where the connection ended before the answer, and NoAnswer where there was none.
        """
        url = urljoin(self._base.geturl(), quote(path))
        sent = {"Content-Length": str(len(data)), **headers}
        self._count(len(data) + _LINE + len(url) + sum(len(name) + len(value) + 4 for name, value in sent.items()))
        response = self._request("PUT", url, sent, data)
        answer = Answer(response, self._settings.timeout_s, self._count)
        try:
            yield answer
        finally:
            _finish(response, answer)

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None = None
    ) -> urllib3.BaseHTTPResponse:
        everything = {"Accept-Encoding": "identity", "User-Agent": "edgewright-update", **headers}
        try:
            return self._pool.request(
                method, url, body=data, headers=everything, preload_content=False, decode_content=False, redirect=False,
                retries=False,
            )  # fmt: skip
        except urllib3.exceptions.ProtocolError as error:
            raise BrokenOff(_in_words(error)) from error
        except (HTTPError, OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer(f"expected an answer, got {_in_words(error)}") from error

    def _redirected(self, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
            parts = urlsplit(target)
            allowed = parts.hostname in self._allowed and parts.scheme in ("http", "https") and not parts.username
            same = parts.hostname != self._base.hostname or parts.port == self._base.port or parts.scheme == "https"
        except ValueError:
            allowed = same = False
            parts = self._base
        if not location or not allowed or not same or (self._base.scheme == "https" and parts.scheme != "https"):
            raise NoAnswer(
                f"expected the file, or a redirect within the server, got one to {location[:200]!r}; if that is right, "
                "name its host in network.redirect_hosts; it must have https where the URL has it"
            )
        return target


def _finish(response: urllib3.BaseHTTPResponse, answer: Answer) -> None:
    """Read the few bytes of a body that nobody wants, so that its connection can be used again; else close it."""
    if not response.closed and answer.length is not None and answer.length <= _SMALL:
        with suppress(BrokenOff):
            for _ in answer.body(_SMALL):
                pass
    if not response.closed:
        response.close()


def _pool(url: str, settings: NetworkSettings) -> urllib3.PoolManager:
    proxy = _proxy(url, settings)
    options: dict[str, Any] = {
        "num_pools": 4,
        "maxsize": 1,
        "timeout": Timeout(connect=settings.timeout_s, read=settings.timeout_s),
        "ssl_context": _trusted(settings),
        "socket_options": _OPTIONS,
    }
    pool = _through(proxy, options) if proxy else urllib3.PoolManager(**options)
    pool.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return pool


def _through(proxy: str, options: Mapping[str, Any]) -> urllib3.ProxyManager:
    try:
        user = urlsplit(proxy)
        given = f"{unquote(user.username)}:{unquote(user.password or '')}" if user.username else None
        return urllib3.ProxyManager(proxy, proxy_headers=make_headers(proxy_basic_auth=given), **options)
    except (HTTPError, ValueError) as error:
        raise BadConfiguration(
            "network.proxy, or the proxy of the environment: expected a URL with http:// or https://, got another one."
        ) from error


def _proxy(url: str, settings: NetworkSettings) -> str | None:
    if settings.proxy is not None:
        return settings.proxy or None
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if found and "://" not in found:
        return f"http://{found}"
    return found


def _trusted(settings: NetworkSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(
            f"network.ca_file: expected certificates in {settings.ca_file}, got {error}; mend it."
        ) from error


def _in_words(error: BaseException) -> str:
    """Return the error in one line, without what may be a proxy's password."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rpartition("@")[2][:200] if "@" in text else text[:200]


class _Deadline(HTTPConnection):
    """A connection whose handshake, and whose answer's head, must be there before a deadline."""

    def connect(self) -> None:
        with self._deadline():
            super().connect()

    def getresponse(self) -> urllib3.response.HTTPResponse:  # type: ignore[override]
        with self._deadline():
            return super().getresponse()

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        seconds = self.timeout if isinstance(self.timeout, int | float) else 60.0
        timer = threading.Timer(_HEAD_DEADLINES * seconds, self._shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _shut(self) -> None:
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


class _DeadlineWithTls(_Deadline, HTTPSConnection):
    """The same over TLS."""


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Deadline


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineWithTls
