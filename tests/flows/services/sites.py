"""Sites and small services for the tests of services."""

import socket
import sys
from pathlib import Path

from flows.services.site import Ports, Site
from flows.services.table import Service

SERVE = """
import http.server, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy).serve_forever()
"""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on; all are held until every one is found, so that no two are the same."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return found


def site_of(home: Path) -> Site:
    """Return the site of a home, on free ports."""
    return Site.of_home(home, home / "target", Ports(*free_ports(4)), ("digits",))


def server(name: str, port: int, program: str = SERVE) -> Service:
    """Return a service that answers on a port as soon as it runs."""
    return Service(
        name=name,
        purpose="answers",
        command=(sys.executable, "-c", program, str(port)),
        environment={},
        health=f"http://127.0.0.1:{port}/health",
    )


def one_shot(name: str, program: str) -> Service:
    """Return a service that runs a program once."""
    return Service(name=name, purpose="runs once", command=(sys.executable, "-c", program), environment={})
