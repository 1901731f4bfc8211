"""Moto's S3 server in a thread of this process, and one that ignores the conditions of writes."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "edgewright"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]


def ignoring(*conditions: str) -> Callable[[Application], Application]:
    """Return a wrapper that takes headers such as HTTP_IF_MATCH off each request, as many stores pass over them."""

    def wrap(application: Application) -> Application:
        def without(environment: dict[str, Any], start: Start) -> Iterable[bytes]:
            return application({key: each for key, each in environment.items() if key not in conditions}, start)

        return without

    return wrap


@contextmanager
def s3_server(wrap: Callable[[Application], Application] = lambda application: application) -> Iterator[str]:
    """Serve S3 with one bucket on a free loopback port; yield the address."""
    application = wrap(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        httpx.put(f"{address}/{BUCKET}", trust_env=False, timeout=30).raise_for_status()
        yield address
    finally:
        server.shutdown()
        thread.join()
