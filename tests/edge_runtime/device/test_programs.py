"""The programs of a device beside each other: an install disturbs no update, and the gravest ending counts."""

import errno
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from edge_runtime.__main__ import main
from edge_runtime.bundle import BLOBS
from edge_runtime.configuration import read_configuration
from edge_runtime.device import commands, roll_back_model
from edge_runtime.device.joined import InstallStep, TrustedReleases
from edge_runtime.install import DeviceStore, running
from edge_runtime.trust import folder_fetch
from edge_runtime.update import AGENT_LOCK, HeldBack, UpdateExit, exclusive
from tests.edge_runtime.device.carrying import CarriedRepository
from tests.edge_runtime.install.carried import MODEL


def install(carried: CarriedRepository, *words: str) -> int:
    return main(["install", "--config", str(carried.device.configuration), str(carried.root), *words])


def test_while_an_update_runs_nothing_is_installed_and_what_it_fetched_stays(
    carried: CarriedRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carried.device.configuration.exists()
    part = carried.device.state / BLOBS / f".{'a' * 64}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"fetched so far")
    with exclusive(carried.device.state / AGENT_LOCK):
        assert install(carried) == UpdateExit.HELD_BACK
    assert AGENT_LOCK in capsys.readouterr().err
    assert part.exists() and carried.device.runs().current is None
    assert install(carried) == UpdateExit.DONE
    assert not part.exists() and carried.device.runs().current is not None


@pytest.mark.parametrize("order", [("full", "busy"), ("busy", "full")])
def test_of_several_models_the_gravest_ending_counts(
    carried: CarriedRepository, monkeypatch: pytest.MonkeyPatch, order: Sequence[str]
) -> None:
    errors = {"full": OSError("no space"), "busy": HeldBack("lock", "another process is at work")}
    asked: list[str] = []

    def fail(_configuration: Any, _carried: Any, model: str, **_: Any) -> None:
        asked.append(model)
        raise errors[model]

    monkeypatch.setattr(commands, "install_carried", fail)
    named = [word for model in order for word in ("--model", model)]
    assert install(carried, *named) == UpdateExit.DEVICE_FAILED
    assert asked == list(order) and MODEL not in asked


def test_a_full_disk_is_the_devices_failure_and_another_installer_only_holds_back(
    carried: CarriedRepository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as full:
        full.setattr("edge_runtime.install.store.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
        assert install(carried) == UpdateExit.DEVICE_FAILED
    assert "free bytes" in capsys.readouterr().err
    with DeviceStore(carried.device.state, "gateway").only_installer():
        assert install(carried) == UpdateExit.HELD_BACK
    assert "another one at work" in capsys.readouterr().err
    assert install(carried) == UpdateExit.DONE


def test_the_disk_is_to_blame_for_metadata_that_cannot_be_written(
    carried: CarriedRepository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("edge_runtime.trust.metadata_store.write_atomic", full)
        assert install(carried) == UpdateExit.DEVICE_FAILED
    assert "must be durable before it counts" in capsys.readouterr().err
    with monkeypatch.context() as patched:
        patched.setattr("edge_runtime.update.update_lock._opened", full)
        assert install(carried) == UpdateExit.DEVICE_FAILED
    assert install(carried) == UpdateExit.DONE


def test_a_rollback_leaves_what_an_update_fetches(carried: CarriedRepository) -> None:
    for seed in (1, 2):
        carried.offer(seed)
        assert install(carried) == UpdateExit.DONE
    fetched = carried.device.state / BLOBS / ("a" * 64)
    fetched.write_bytes(b"whole, and its manifest not there yet")
    roll_back_model(read_configuration(carried.device.configuration), MODEL, "blurred")
    assert fetched.exists()


def test_what_a_kill_left_over_is_removed_before_a_release_is_fetched(carried: CarriedRepository) -> None:
    assert install(carried) == UpdateExit.DONE
    configuration = read_configuration(carried.device.configuration)
    step, releases = InstallStep(configuration), TrustedReleases(configuration)
    carried.offer(2)
    release = releases.newest(MODEL, folder_fetch(carried.root))
    assert release is not None
    left, kept = step.blobs / ("a" * 64), step.blobs / release.blobs[0].sha256
    graph = configuration.state / "tuned" / ("b" * 64) / "model.onnx"
    graph.parent.mkdir(parents=True)
    for path in (left, kept, graph):
        path.touch()
    step.check(release)
    assert kept.exists() and not left.exists() and not graph.parent.exists()


def test_an_update_finds_a_bit_that_flipped_in_what_runs_and_brings_it_again(
    carried: CarriedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = carried.device.configuration
    configuration.write_text(configuration.read_text().replace("/nowhere", str(carried.root)))
    update = ["update", "--config", str(configuration)]
    assert main(update) == UpdateExit.DONE
    graph = running(DeviceStore(carried.device.state, "gateway"), MODEL).bundle.entry_path
    good = graph.read_bytes()
    assert main(update) == UpdateExit.DONE  # every byte was read
    graph.chmod(0o644)
    graph.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert main(update) == UpdateExit.DONE
    assert graph.read_bytes() != good, "it is read once a day"
    monkeypatch.setattr("edge_runtime.install.daily_look.EVERY", timedelta(0))
    assert main(update) == UpdateExit.DONE
    assert graph.read_bytes() == good
