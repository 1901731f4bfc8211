"""The real process: its start, its notes to the service manager, hot swap under a client's requests, and its end."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton

from edge_runtime.install import DeviceStore, FolderSource, InstallSettings, Limits, Tuning, install
from tests.edge_runtime.device.operated_device import device_environment
from tests.edge_runtime.install.carried import DEVICE, MODEL, carry, expected, rows, small_model
from tests.edge_runtime.processes import wait_until
from tests.edge_runtime.server.running_server import PAIRED
from tests.edge_runtime.server.served_process import LONGEST_S, ServedProcess

SETTINGS = InstallSettings(Limits(time_s=LONGEST_S, memory_mb=2048), Tuning(tuned_graph=False))


class ServedDevice:
    """A device with a store and a configuration, into which versions are installed by their seeds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = DeviceStore(folder / "state", DEVICE)
        self.configuration = folder / "device.toml"
        self.configuration.write_text(
            f'device = "{DEVICE}"\nmodels = ["{MODEL}"]\nurl = "/nowhere"\nstate = "{self._store.root}"\n'
            f'root = "{folder / "root.json"}"\n'
        )

    def install(self, seed: int) -> None:
        carried = carry(self._folder / "carried", self._folder / "made", seed)
        install(self._store, MODEL, carried.data, FolderSource(carried.root), SETTINGS)

    def expected(self, seed: int) -> np.ndarray:
        return expected(small_model(self._folder / f"again-{seed}", seed), rows())


@pytest.fixture
def device(tmp_path: Path) -> ServedDevice:
    return ServedDevice(tmp_path)


@pytest.fixture
def client(device: ServedDevice, tmp_path: Path) -> Iterator[ServedProcess]:
    device.install(1)
    with ServedProcess(("--config", device.configuration), tmp_path) as served:
        served.wait_for_note("READY=1")
        yield served


def asked() -> list[triton.InferInput]:
    sent = triton.InferInput("x", list(rows().shape), "FP32")
    sent.set_data_from_numpy(rows())
    return [sent]


def test_a_bundle_is_swapped_under_a_client_and_no_request_fails(device: ServedDevice, client: ServedProcess) -> None:
    right = {str(seed): device.expected(seed) for seed in (1, 2)}
    seen = []
    with triton.InferenceServerClient(client.address) as server:
        assert server.is_server_live() and server.is_server_ready() and server.is_model_ready(MODEL)

        def ask() -> str:
            answer = server.infer(MODEL, asked())
            version: str = answer.get_response()["model_version"]
            np.testing.assert_allclose(answer.as_numpy("y"), right[version], rtol=1e-4, atol=1e-4)
            seen.append(version)
            return version

        assert ask() == "1"
        device.install(2)
        wait_until(lambda: ask() == "2", LONGEST_S)
        assert server.get_model_metadata(MODEL)["versions"] == ["2"]
        with pytest.raises(triton.InferenceServerException, match="version '2', not in '1'"):
            server.infer(MODEL, asked(), model_version="1")
    assert seen == sorted(seen) and set(seen) == {"1", "2"}
    metrics = client.get("/metrics").text
    assert f'edgewright_model_swaps_total{{model="{MODEL}"}} 1\n' in metrics
    assert f'edgewright_inference_requests_total{{model="{MODEL}",outcome="ok"}} {len(seen)}\n' in metrics
    assert client.end() == 0


def test_the_end_is_orderly_and_the_log_is_lines_of_json(client: ServedProcess) -> None:
    assert client.end() == 0
    client.wait_for_note("STOPPING=1")
    messages = [line["message"] for line in client.lines]
    assert messages[-1] == "ended" and {"listening", "ready", "signal"} <= set(messages)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in client.lines)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", client.port))


def test_before_its_end_a_server_may_say_so_and_go_on(device: ServedDevice, tmp_path: Path) -> None:
    device.install(1)
    words = ("--config", device.configuration, "--announced-s", "3600", "--log-requests")
    with ServedProcess(words, tmp_path) as served:
        served.wait_for_note("READY=1")
        served.process.send_signal(signal.SIGTERM)
        served.wait_for_note("STOPPING=1")
        assert served.get("/v2/health/ready").status_code == 503
        assert served.get(f"/v2/models/{MODEL}/ready").status_code == 200
        assert served.end() == 0  # the second signal
        assert [line["handler"] for line in served.lines if line["message"] == "request"] == [
            "server_ready",
            "model_ready",
        ]


def test_a_model_that_is_not_installed_yet_is_waited_for(device: ServedDevice, tmp_path: Path) -> None:
    with ServedProcess(("--config", device.configuration), tmp_path) as served:
        served.wait_for_note(f"STATUS=not ready: {MODEL}")
        assert served.wait_for_line("not ready")["models"] == MODEL
        assert served.get("/v2/health/live").status_code == 200
        assert served.get("/v2/health/ready").status_code == 503
        refused = served.get(f"/v2/models/{MODEL}")
        assert refused.status_code == 503 and refused.headers["retry-after"]
        device.install(1)
        served.wait_for_note("READY=1")
        assert served.get("/v2/health/ready").status_code == 200
        assert served.end() == 0


def test_a_bundle_is_served_without_a_configuration(bundle: Path, tmp_path: Path) -> None:
    with ServedProcess(("--bundle", bundle), tmp_path, {"WATCHDOG_USEC": "200000"}) as served:
        served.wait_for_note("READY=1")
        assert served.get("/v2/models/linear").json()["name"] == "linear"
        for _ in range(2):
            served.wait_for_note("WATCHDOG=1")
        assert served.end() == 0


def test_the_watchdog_of_another_process_is_not_served(bundle: Path, tmp_path: Path) -> None:
    variables = {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
    with ServedProcess(("--bundle", bundle), tmp_path, variables) as served:
        served.wait_for_note("READY=1")
        assert served.end() == 0
        served.wait_for_note("STOPPING=1")
    assert served.notes.empty()


def fails(*words: str | Path) -> str:
    command = (sys.executable, "-P", "-m", "edge_runtime", "serve", *words)
    done = subprocess.run(
        command, env=device_environment(), capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    return done.stderr.splitlines()[-1]


def test_a_wrong_start_is_one_line(bundle: Path, tmp_path: Path) -> None:
    assert "device.toml" in fails("--config", tmp_path / "device.toml", "--port", "0")
    assert "is no bundle" in fails("--bundle", tmp_path / "none", "--port", "0")
    assert "not allowed with" in fails("--bundle", bundle, "--config", tmp_path / "device.toml")
    assert "invalid number value: '99999'" in fails("--bundle", bundle, "--port", "99999")
    assert "expected an address of this machine" in fails("--bundle", bundle, "--host", "no such host")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "expected an address that is free" in fails("--bundle", bundle, "--port", str(taken.getsockname()[1]))


def test_what_a_request_held_is_not_in_the_log(device: ServedDevice, tmp_path: Path) -> None:
    device.install(1)
    with ServedProcess(("--config", device.configuration, "--log-requests"), tmp_path) as served:
        served.wait_for_note("READY=1")
        import httpx

        secret = PAIRED.replace(b'"a"', b'"a secret"')
        reply = httpx.post(f"http://{served.address}/v2/models/{MODEL}/infer", content=secret)
        assert reply.status_code == 400 and "a secret" in reply.json()["error"]
        assert served.end() == 0
        assert "secret" not in repr(served.lines)
        assert [line["status"] for line in served.lines if line["message"] == "request"] == [400]
