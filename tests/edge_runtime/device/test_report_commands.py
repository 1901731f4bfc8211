"""The commands of reports, and the reports of an update, as a person and a timer start them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_runtime.reports import PublicDeviceKey, verified
from edge_runtime.update import UpdateExit
from tests.edge_runtime.device.operated_device import device_environment
from tests.edge_runtime.reports.drop_box import DropBoxServer, answers, drop_box


@dataclass(frozen=True)
class Commanded:
    """A device with nothing installed, whose commands run in processes of their own."""

    folder: Path
    reports: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        config = self.folder / "device.toml"
        config.write_text(
            f'device = "gateway"\nmodels = ["camera"]\nurl = "/nowhere"\nstate = "{self.folder / "state"}"\n'
            f'root = "{self.folder / "root.json"}"\n[network]\nproxy = ""\n{self.reports}'
        )
        command = [sys.executable, "-P", "-m", "edge_runtime", *words, "--config", str(config)]
        return subprocess.run(
            command, env=device_environment(), capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DropBoxServer]:
    with drop_box(tmp_path / "box") as running:
        yield running


@pytest.fixture
def device(tmp_path: Path, box: DropBoxServer) -> Commanded:
    return Commanded(tmp_path, f'[reports]\nurl = "{box.url}"\n')


def test_from_the_key_to_the_drop_box(device: Commanded, box: DropBoxServer) -> None:
    shown = device.run("reports", "key")
    assert (shown.returncode, shown.stderr) == (0, "")
    key = PublicDeviceKey.from_bytes(shown.stdout.encode())
    assert device.run("reports", "key").stdout == shown.stdout
    made = device.run("reports", "make")
    assert (made.returncode, made.stdout) == (0, "report 1 is made, and waits\n")
    status = device.run("reports", "status").stdout
    assert key.fingerprint in status and "1 made, 1 wait" in status
    sent = device.run("reports", "send")
    assert (sent.returncode, sent.stdout) == (0, "1 report was sent, 0 wait\n")
    report = verified((box.folder / key.device / "000000000001.json").read_bytes(), key.key)
    assert [(each.model, each.health) for each in report.models] == [("camera", "missing")]


def test_reports_are_carried(device: Commanded, tmp_path: Path) -> None:
    device.run("reports", "make")
    (tmp_path / "stick").mkdir()
    carried = device.run("reports", "carry", str(tmp_path / "stick"))
    assert carried.returncode == 0 and "1 report was carried to" in carried.stdout
    assert len(list((tmp_path / "stick").rglob("*.json"))) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("carry",), UpdateExit.BAD_CONFIGURATION, "Expected a folder after `reports carry`"),
        (("send", "/tmp"), UpdateExit.BAD_CONFIGURATION, "after nothing else"),
        (("carry", "/nowhere/at/all"), UpdateExit.UNREACHABLE, "plug it in"),
    ],
)
def test_a_command_that_cannot_run_says_why(
    device: Commanded, words: tuple[str, ...], code: UpdateExit, said: str
) -> None:
    device.run("reports", "make")
    ended = device.run("reports", *words)
    assert ended.returncode == code and said in ended.stderr


def test_without_its_table_no_report_is_made(tmp_path: Path) -> None:
    device = Commanded(tmp_path, "")
    for action in ("make", "send"):
        ended = device.run("reports", action)
        assert ended.returncode == UpdateExit.BAD_CONFIGURATION and "reports" in ended.stderr


def test_a_report_that_is_not_taken_is_an_exit_code(device: Commanded, box: DropBoxServer) -> None:
    device.run("reports", "make")
    box.plan(answers(403))
    ended = device.run("reports", "send")
    assert ended.returncode == UpdateExit.REFUSED and "answered 403" in ended.stderr
    device.run("reports", "make")
    box.plan(answers(503))
    assert device.run("reports", "send").returncode == UpdateExit.UNREACHABLE
    assert box.fired == ["answers 403", "answers 503"]


def test_an_update_reports_how_it_ended_and_keeps_its_exit_code(device: Commanded, box: DropBoxServer) -> None:
    ended = device.run("update")
    assert ended.returncode == UpdateExit.REFUSED
    key = PublicDeviceKey.from_bytes(device.run("reports", "key").stdout.encode())
    report = verified((box.folder / key.device / "000000000001.json").read_bytes(), key.key)
    assert report.models[0].last_update.startswith("refused since ")
    device.run("reports", "make")
    (device.folder / "state" / "device.key").write_bytes(b"damaged")
    again = device.run("update")
    assert again.returncode == UpdateExit.REFUSED and "enrol the device again" in again.stderr
    assert json.loads((device.folder / "state" / "update.json").read_text())["models"][0]["exit"] == "REFUSED"
