"""HTTP servers of tests on loopback ports, each in a thread of its own, with TLS where it is asked for."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import TypeVar

Served = TypeVar("Served", bound="ThreadedServer")


class ThreadedServer(ThreadingHTTPServer):
    """A server that `serving` runs; `origin` is where it is asked."""

    daemon_threads = True
    scheme = "http"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(server: Served, tls: ssl.SSLContext | None) -> Iterator[Served]:
    """Run a server in a thread until the block ends."""
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
