"""A pager: a service on loopback that takes notifications, and the block of Prefect's that sends them there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

from prefect.blocks.notifications import CustomWebhookNotificationBlock


@dataclass
class Pager:
    """The address of the service, and what it was sent."""

    address: str
    bodies: list[str] = field(default_factory=list)


@contextmanager
def taking_messages() -> Iterator[Pager]:
    """Run a pager until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            pager.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    pager = Pager(f"http://127.0.0.1:{server.server_port}/messages")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield pager
    server.shutdown()
    server.server_close()


def save_webhook(name: str, pager: Pager, token: str) -> None:
    """Keep a block on the Prefect server that sends notices to a pager; its token is part of the address."""
    block = CustomWebhookNotificationBlock(
        name=name, url=f"{pager.address}?token={token}", json_data={"subject": "{{subject}}", "body": "{{body}}"},
        headers=None, cookies=None,
    )  # fmt: skip
    block.save(name, overwrite=True)
