import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from flows.services.health import is_healthy, main


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def address() -> Iterator[str]:
    """Address of a server that is healthy at /health alone."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_only_200_is_healthy(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # is not asked
    assert is_healthy(f"{address}/health")
    assert not is_healthy(f"{address}/other")


def test_a_server_that_is_not_there_or_speaks_no_http_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.services.health.ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not is_healthy(f"http://127.0.0.1:{port}/health")
    assert not is_healthy(f"http://127.0.0.1:{port}/health")


def test_whoever_waits_learns_whether_it_came(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{address}/health") == 0
    assert main(f"{address}/other", seconds=0.1) == 1
    assert "expected an answer within 0.1 s" in capsys.readouterr().err
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert main(f"{address}/other", ended.pid) == 1
    assert "got its end" in capsys.readouterr().err
