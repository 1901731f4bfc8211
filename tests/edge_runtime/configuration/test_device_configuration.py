from datetime import time
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.configuration import (
    EXAMPLE,
    BadConfiguration,
    MaintenanceWindow,
    NetworkSettings,
    ReportSettings,
    TrialLimits,
    TuningChoices,
    parse_configuration,
    read_configuration,
)

LEAST: dict[str, Any] = {
    "device": "gateway", "models": ["camera"], "url": "https://models.example.com/edge/",
    "state": "/var/lib/edgewright", "root": "/usr/share/edgewright/root.json",
}  # fmt: skip


def test_the_documented_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "device.toml").write_text(EXAMPLE)
    found = read_configuration(tmp_path / "device.toml")
    assert (found.device, found.models, found.pins) == ("gateway", ("camera",), {"camera": "12"})
    assert found.network == NetworkSettings(
        "http://proxy:3128", 50_000_000, 30.0, Path("/etc/ssl/own.pem"), ("cdn.example.com",)
    )
    assert found.window == MaintenanceWindow(time(23), time(5))
    assert (found.busy_lock, found.lock_wait_s) == (Path("/run/edgewright/busy.lock"), 60.0)
    assert (found.interval_s, found.jitter_s) == (3600.0, 600.0)
    assert found.trial == TrialLimits(512, 120.0)
    assert found.tuning == TuningChoices(True, (1, 2), ("CPUExecutionProvider",))
    assert found.reports == ReportSettings("https://reports.example.com/box", 3600.0, 500, 60.0)


def test_five_keys_are_enough() -> None:
    found = parse_configuration(LEAST, "device.toml")
    assert found.url == "https://models.example.com/edge"
    assert found.network == NetworkSettings()
    assert found.busy_lock == Path("/var/lib/edgewright/busy.lock")
    assert found.window is None and not found.pins and found.folder is None and found.reports is None


def test_an_empty_table_of_reports_is_one() -> None:
    found = parse_configuration(LEAST | {"reports": {}}, "device.toml")
    assert found.reports == ReportSettings() and found.reports.folder is None
    found = parse_configuration(LEAST | {"reports": {"url": "file:///media/box/"}}, "device.toml")
    assert found.reports is not None and found.reports.folder == Path("/media/box")


@pytest.mark.parametrize(
    ("url", "folder"), [("/media/usb", "/media/usb"), ("file:///media/a%20stick/", "/media/a stick"), ("file:///", "/")]
)
def test_a_url_may_name_a_folder(url: str, folder: str) -> None:
    assert parse_configuration(LEAST | {"url": url}, "device.toml").folder == Path(folder)


@pytest.mark.parametrize("key", LEAST)
def test_a_missing_key_is_named(key: str) -> None:
    document = {name: value for name, value in LEAST.items() if name != key}
    with pytest.raises(BadConfiguration, match=f"device.toml: expected {key} .*add it"):
        parse_configuration(document, "device.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"devise": "x"}, "'devise'"),
        ({"device": 3}, "device: expected the name of a device profile, got 3"),
        ({"device": "../x"}, "device: expected"),
        ({"models": "camera"}, "models: expected a list"),
        ({"models": []}, "models: expected a list"),
        ({"models": ["a", "a"]}, "models: expected a list of different"),
        ({"models": [3]}, "models: expected a list"),
        ({"url": "ftp://x"}, "url: expected http"),
        ({"url": "https://user:secret@x/"}, "url: expected http"),
        ({"url": "https://x/?a=b"}, "url: expected http"),
        ({"url": "https://"}, "url: expected http"),
        ({"url": "file://host/x"}, "url: expected http"),
        ({"url": "http://[x"}, "url: expected http"),
        ({"url": "models"}, "url: expected http"),
        ({"state": "lib"}, "state: expected an absolute path"),
        ({"root": 1}, "root: expected an absolute path"),
        ({"tuning": {"threads": [0]}}, "tuning.threads: expected a list of whole numbers"),
        ({"tuning": {"threads": 2}}, "tuning.threads: expected a list of whole numbers"),
        ({"tuning": {"graph": 1}}, "tuning.graph: expected true or false"),
        ({"tuning": {"providers": "CPU"}}, "tuning.providers: expected a list"),
        ({"tuning": {"graf": True}}, "'tuning.graf'"),
        ({"network": 1}, "network: expected a table"),
        ({"network": {"proxi": "x"}}, "'network.proxi'"),
        ({"network": {"proxy": "socks5://x"}}, "network.proxy: expected a URL"),
        ({"network": {"proxy": "http://user:secret@[x"}}, "network.proxy: expected a URL"),
        ({"network": {"bytes_per_day": 1}}, "network.bytes_per_day: expected a whole number"),
        ({"network": {"bytes_per_day": True}}, "network.bytes_per_day: expected a whole number"),
        ({"network": {"timeout_s": "5"}}, "network.timeout_s: expected a number"),
        ({"network": {"timeout_s": float("nan")}}, "network.timeout_s: expected a number"),
        ({"network": {"redirect_hosts": ["a/b"]}}, "network.redirect_hosts: expected a list"),
        ({"window": {"from": "23:00"}}, "expected window.to"),
        ({"window": {"from": "23:00", "to": "24:00"}}, 'window.to: expected a time such as "23:00"'),
        ({"window": {"from": "1:00", "to": "02:00"}}, "window.from: expected a time"),
        ({"window": {"from": "01:00", "to": "01:00"}}, "window.to: expected another time"),
        ({"pins": {"camera": 0}}, "pins.camera: expected a release number or"),
        ({"pins": {"camera": "v1"}}, "pins.camera: expected a release number or"),
        ({"pins": {"other": 1}}, "expected one of the models, got 'pins.other'"),
        ({"lock": {"wait_s": -1}}, "lock.wait_s: expected a number"),
        ({"lock": {"wait_s": 10**400}}, "lock.wait_s: expected a number"),
        ({"lock": {"wait_s": float("inf")}}, "lock.wait_s: expected a number"),
        ({"lock": {"waits": 1}}, "'lock.waits'"),
        ({"update": {"interval_s": 1}}, "update.interval_s: expected a number from 60"),
        ({"reports": 1}, "reports: expected a table"),
        ({"reports": {"url": "https://user:secret@x/"}}, "reports.url: expected http"),
        ({"reports": {"every_s": 1}}, "reports.every_s: expected a number from 60"),
        ({"reports": {"keep": 0}}, "reports.keep: expected a whole number from 1"),
        ({"reports": {"served_s": 0}}, "reports.served_s: expected a number from 1"),
        ({"reports": {"key": "x"}}, "'reports.key'"),
        ({"trial": {"memory_mb": 1.5}}, "trial.memory_mb: expected a whole number"),
    ],
)
def test_a_mistake_is_named_with_its_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadConfiguration) as raised:
        parse_configuration(LEAST | change, "device.toml")
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("content", [b"= 1", b"\xff", b"a = 1\na = 2", b"#" * ((1 << 20) + 1)])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "device.toml").write_bytes(content)
    with pytest.raises(BadConfiguration, match="expected a TOML file"):
        read_configuration(tmp_path / "device.toml")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="No such file"):
        read_configuration(tmp_path / "device.toml")


@pytest.mark.parametrize(
    ("start", "end", "inside", "outside"),
    [(9, 17, (9, 12, 16), (0, 8, 17, 23)), (23, 5, (23, 0, 4), (5, 12, 22))],
)
def test_a_window_may_cross_midnight(start: int, end: int, inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    window = MaintenanceWindow(time(start), time(end))
    assert all(window.holds(time(hour)) for hour in inside)
    assert not any(window.holds(time(hour)) for hour in outside)
