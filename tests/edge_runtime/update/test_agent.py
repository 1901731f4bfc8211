import errno
import json
import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path

import pytest

from edge_runtime.configuration import MaintenanceWindow, NetworkSettings, UpdateConfiguration
from edge_runtime.errors import DeviceFailed, InstallError, StoreBusy, TrustError
from edge_runtime.update import (
    AGENT_LOCK,
    EndingRecords,
    Fetch,
    FolderCarrier,
    HttpCarrier,
    ModelEnding,
    NotThere,
    OfferedRelease,
    UpdateAgent,
    UpdateExit,
    exclusive,
    open_carrier,
)
from tests.edge_runtime.update.loopback_server import LoopbackServer
from tests.edge_runtime.update.offers import Blob, offered_blob

DATA = random.Random(6).randbytes(100_000)
NIGHT = datetime(2027, 3, 1, 2, 30)
MakeAgent = Callable[..., UpdateAgent]


class Source:
    """Releases that are published as `metadata/MODEL.json` on the server, taken as they are."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def refresh(self, fetch: Fetch) -> None:
        with suppress(NotThere):
            fetch("metadata/2.root.json", 1000)
        fetch("metadata/timestamp.json", 1000)
        if self.error is not None:
            raise self.error

    def newest(self, model: str, fetch: Fetch) -> OfferedRelease | None:
        try:
            manifest = fetch(f"metadata/{model}.json", 1000)
        except NotThere:
            return None
        content = json.loads(manifest)
        blobs = [Blob(**content["blob"])]
        return OfferedRelease(model, content["digest"], content["release"], manifest, blobs, [])


class Installer:
    """An install step that takes every release whose blobs are there."""

    def __init__(self, blobs: Path) -> None:
        self.blobs = blobs
        self.running: dict[str, str] = {}
        self.refuses: Exception | None = None
        self.fails: Exception | None = None

    def installed(self, model: str) -> str | None:
        return self.running.get(model)

    def check(self, release: OfferedRelease) -> None:
        assert release.manifest
        if self.refuses is not None:
            raise self.refuses

    def install(self, release: OfferedRelease) -> None:
        if self.fails is not None:
            raise self.fails
        assert all((self.blobs / blob.sha256).stat().st_size == blob.size for blob in release.blobs)
        self.running[release.model] = release.digest


@pytest.fixture
def source(server: LoopbackServer) -> Source:
    blob = offered_blob(server, DATA)
    offer = {"digest": "d" * 64, "release": "7", "blob": {"sha256": blob.sha256, "size": blob.size}}
    server.files["metadata/camera.json"] = json.dumps(offer).encode()
    server.files["metadata/timestamp.json"] = b"{}"
    return Source()


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    (tmp_path / "state" / "blobs").mkdir(parents=True)
    return Installer(tmp_path / "state" / "blobs")


@pytest.fixture
def configuration(server: LoopbackServer, tmp_path: Path) -> UpdateConfiguration:
    state = tmp_path / "state"
    return UpdateConfiguration(
        "gateway", ("camera",), server.url, state, tmp_path / "root.json", state / "busy.lock",
        network=NetworkSettings(proxy="", timeout_s=5.0),
    )  # fmt: skip


@pytest.fixture
def make_agent(source: Source, installer: Installer, configuration: UpdateConfiguration) -> MakeAgent:
    def make(**changes: object) -> UpdateAgent:
        changed = replace(configuration, **changes)  # type: ignore[arg-type]
        return UpdateAgent(changed, source, installer, wall=lambda: NIGHT, sleep=lambda _: None)

    return make


def _ending(configuration: UpdateConfiguration) -> ModelEnding:
    (ending,) = EndingRecords(configuration.state / "update.json").read()
    return ending


def test_a_new_release_is_fetched_and_installed(
    make_agent: MakeAgent, installer: Installer, configuration: UpdateConfiguration
) -> None:
    assert make_agent().run() is UpdateExit.DONE
    assert installer.running == {"camera": "d" * 64}
    assert (_ending(configuration).message, _ending(configuration).release) == ("updated", "7")


def test_nothing_new_costs_no_more_than_the_metadata(
    make_agent: MakeAgent, server: LoopbackServer, configuration: UpdateConfiguration
) -> None:
    make_agent().run()
    server.asked.clear()
    written = (configuration.state / "update.json").stat().st_mtime_ns
    assert make_agent().run() is UpdateExit.DONE
    assert server.paths == ["metadata/timestamp.json", "metadata/camera.json"]  # the new root's absence is remembered
    assert (configuration.state / "update.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("window", "code"),
    [(None, UpdateExit.DONE), ((1, 4), UpdateExit.DONE), ((23, 4), UpdateExit.DONE), ((4, 23), UpdateExit.HELD_BACK)],
)
def test_outside_the_window_nothing_is_asked(
    make_agent: MakeAgent, server: LoopbackServer, configuration: UpdateConfiguration,
    window: tuple[int, int] | None, code: UpdateExit
) -> None:  # fmt: skip
    hours = None if window is None else MaintenanceWindow(time(window[0]), time(window[1]))
    assert make_agent(window=hours).run() is code
    assert bool(server.asked) == (code is UpdateExit.DONE)
    assert _ending(configuration).reason == ("" if code is UpdateExit.DONE else "window")


def test_while_an_application_is_busy_nothing_is_asked(
    make_agent: MakeAgent, server: LoopbackServer, configuration: UpdateConfiguration
) -> None:
    with exclusive(configuration.busy_lock):
        assert make_agent().run() is UpdateExit.HELD_BACK
    assert not server.asked
    assert _ending(configuration).reason == "lock"


def test_an_application_that_became_busy_meanwhile_is_not_disturbed(
    make_agent: MakeAgent, server: LoopbackServer, configuration: UpdateConfiguration, installer: Installer
) -> None:
    became_busy = []

    def serves_and_becomes_busy(handler: object, content: bytes) -> None:
        held = exclusive(configuration.busy_lock)
        held.__enter__()
        became_busy.append(held)
        handler.serve(content)  # type: ignore[attr-defined]

    for _ in range(3):
        server.plan(lambda handler, content: handler.serve(content) if content else handler.answer(404, b""))
    server.plan(serves_and_becomes_busy)
    assert make_agent().run() is UpdateExit.HELD_BACK
    assert server.fired[-1] == "serves_and_becomes_busy"
    assert len(list(installer.blobs.iterdir())) == 1 and not installer.running
    became_busy[0].__exit__(None, None, None)
    assert make_agent().run() is UpdateExit.DONE


def test_two_agents_do_not_run_at_once(
    make_agent: MakeAgent, server: LoopbackServer, configuration: UpdateConfiguration
) -> None:
    with exclusive(configuration.state / AGENT_LOCK):
        assert make_agent().run() is UpdateExit.HELD_BACK
    assert not server.asked
    assert not (configuration.state / "update.json").exists()
    agent = make_agent()
    with exclusive(configuration.state / AGENT_LOCK):
        agent.run()
    assert [(each.exit, each.reason) for each in agent.endings] == [(UpdateExit.HELD_BACK, "lock")]


@pytest.mark.parametrize(
    ("pin", "code"), [("7", UpdateExit.DONE), ("d" * 64, UpdateExit.DONE), ("6", UpdateExit.HELD_BACK)]
)
def test_a_pin_holds_other_releases_back(
    make_agent: MakeAgent, configuration: UpdateConfiguration, pin: str, code: UpdateExit
) -> None:
    assert make_agent(pins={"camera": pin}).run() is code
    assert _ending(configuration).reason == ("pin" if code is UpdateExit.HELD_BACK else "")


def test_the_cap_holds_back(make_agent: MakeAgent, configuration: UpdateConfiguration, installer: Installer) -> None:
    capped = NetworkSettings(proxy="", bytes_per_day=50_000)
    assert make_agent(network=capped).run() is UpdateExit.HELD_BACK
    assert _ending(configuration).reason == "cap"
    assert not installer.running


def test_a_release_that_would_be_refused_is_not_fetched(
    make_agent: MakeAgent, server: LoopbackServer, installer: Installer
) -> None:
    installer.refuses = InstallError("no verdict")
    assert make_agent().run() is UpdateExit.REFUSED
    assert not any(path.startswith("blobs/") for path in server.paths)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InstallError("rolled back"), UpdateExit.REFUSED),
        (DeviceFailed("the disk is full"), UpdateExit.DEVICE_FAILED),
        (StoreBusy("another one installs"), UpdateExit.HELD_BACK),
        (OSError(errno.ENOSPC, "full"), UpdateExit.DEVICE_FAILED),
        (MemoryError(), UpdateExit.DEVICE_FAILED),
    ],
)
def test_an_install_that_fails_is_said(
    make_agent: MakeAgent, installer: Installer, error: Exception, code: UpdateExit
) -> None:
    installer.fails = error
    assert make_agent().run() is code


def test_metadata_that_is_not_trusted_is_refused(make_agent: MakeAgent, source: Source, installer: Installer) -> None:
    source.error = TrustError("rolled back")
    assert make_agent().run() is UpdateExit.REFUSED
    assert not installer.running


def test_metadata_is_not_condemned_while_a_new_root_was_not_asked_for(
    make_agent: MakeAgent, source: Source, configuration: UpdateConfiguration
) -> None:
    make_agent().run()
    source.error = TrustError("signed by another key")
    assert make_agent().run() is UpdateExit.UNREACHABLE
    assert "asked for again" in _ending(configuration).message


def test_a_server_that_is_down_is_unreachable(make_agent: MakeAgent, unused_port: int) -> None:
    assert make_agent(url=f"http://127.0.0.1:{unused_port}").run() is UpdateExit.UNREACHABLE


def test_a_model_that_fails_does_not_hold_the_others(
    make_agent: MakeAgent, server: LoopbackServer, installer: Installer, configuration: UpdateConfiguration
) -> None:
    server.files["metadata/sound.json"] = server.files["metadata/camera.json"]
    assert make_agent(models=("absent", "camera", "sound")).run() is UpdateExit.UNREACHABLE
    assert set(installer.running) == {"camera", "sound"}
    endings = EndingRecords(configuration.state / "update.json").read()
    assert [ending.exit for ending in endings] == [UpdateExit.UNREACHABLE, UpdateExit.DONE, UpdateExit.DONE]


def test_a_state_folder_that_cannot_be_written_is_the_devices_failure(make_agent: MakeAgent, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert make_agent(state=tmp_path / "file" / "state").run() is UpdateExit.DEVICE_FAILED


def test_parts_of_other_releases_are_removed_once_all_models_are_known(
    make_agent: MakeAgent, installer: Installer
) -> None:
    stale = installer.blobs / f".{'0' * 64}.part"
    stale.touch()
    make_agent().run()
    assert not stale.exists()


def test_what_kills_have_left_is_removed(make_agent: MakeAgent, installer: Installer, tmp_path: Path) -> None:
    left = [tmp_path / "state" / ".traffic.json.0123.tmp", installer.blobs / f"..{'0' * 64}.part.json.0123.tmp"]
    for path in left:
        path.touch()
    make_agent().run()
    assert not any(path.exists() for path in left)


def test_the_time_since_when_it_is_so_stays(
    make_agent: MakeAgent, installer: Installer, configuration: UpdateConfiguration
) -> None:
    installer.fails = InstallError("rolled back")
    make_agent().run()
    since = _ending(configuration).since
    installer.fails = InstallError("rolled back again")
    make_agent().run()
    assert (_ending(configuration).since, _ending(configuration).message) == (since, "rolled back again")


def test_a_wait_that_is_another_one_is_not_written_again(
    make_agent: MakeAgent, installer: Installer, configuration: UpdateConfiguration
) -> None:
    for message in ("asked again in 74 s", "asked again in 9 s", "expired at 2026-01-01T00:00:00Z, asked again in 9 s"):
        installer.fails = InstallError(message)
        make_agent().run()
        assert _ending(configuration).message == ("asked again in 74 s" if message.startswith("asked") else message)


def test_a_loop_runs_again_after_the_interval_and_some_jitter(
    source: Source, installer: Installer, configuration: UpdateConfiguration
) -> None:
    class Over(Exception):  # noqa: N818
        pass

    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise Over

    agent = UpdateAgent(configuration, source, installer, sleep=sleep)
    after: list[int] = []

    def afterwards() -> None:
        with exclusive(configuration.state / AGENT_LOCK):
            after.append(len(pauses))

    with pytest.raises(Over):
        agent.run_forever(afterwards, uniform=lambda: 0.5)
    assert pauses == [3900.0, 3900.0] and after == [0, 1]
    assert installer.running


def test_the_carrier_follows_the_url(configuration: UpdateConfiguration) -> None:
    carriers = [open_carrier(replace(configuration, url=url), lambda: None) for url in ("/media/usb", "https://x/y")]
    assert [type(carrier) for carrier in carriers] == [FolderCarrier, HttpCarrier]
    for carrier in carriers:
        carrier.close()


@pytest.mark.parametrize("content", ["{", "[]", '{"models": [{"model": "a"}]}', '{"models": [{"exit": "X"}]}'])
def test_endings_that_cannot_be_read_count_as_none(
    configuration: UpdateConfiguration, content: str, make_agent: MakeAgent
) -> None:
    configuration.state.mkdir(exist_ok=True)
    (configuration.state / "update.json").write_text(content)
    assert EndingRecords(configuration.state / "update.json").read() == []
    assert make_agent().run() is UpdateExit.DONE
    assert os.access(configuration.state / "update.json", os.R_OK)
