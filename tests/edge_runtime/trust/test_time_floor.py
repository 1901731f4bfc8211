"""Time: expiry is judged by the clock or by the latest verified timestamp, whichever is later."""

import re
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from tuf.ngclient import Updater

from edge_runtime.trust import TrustError, UpdateError, tuf_session
from tests.edge_runtime.trust.devices import Device
from tests.edge_runtime.trust.repositories import NOW, SignedRepository, days, role_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


def test_a_clock_at_1970_does_not_stop_updates(repository: SignedRepository, device: Device) -> None:
    device.clock = EPOCH
    assert device.manifest() == b"first"
    assert device.state().time_floor == NOW
    repository.now = NOW + days(1_000)
    repository.root.version += 1
    repository.write("root")
    repository.renew("targets", role_of("gateway"))
    assert device.manifest() == b"first"
    assert device.state().time_floor == NOW + days(1_000)


def test_judging_twice_takes_no_request_more(device: Device) -> None:
    device.clock = EPOCH
    device.manifest()
    assert len(device.server.asked) == len(set(device.server.asked)) == 6


@pytest.mark.parametrize("role", ["root", "snapshot", "targets", role_of("gateway")])
def test_what_a_timestamp_outlives_is_expired_though_the_clock_stands_at_1970(
    repository: SignedRepository, device: Device, role: str
) -> None:
    for other in repository.roles:
        repository.life[other] = days(10 if other == role else 20)
    repository.root.version += 1
    repository.write("root")
    repository.renew("targets", role_of("gateway"))
    device.clock = EPOCH
    assert device.manifest() == b"first"
    repository.now = NOW + days(11)
    repository.timestamp.version += 1
    repository.write_timestamp()
    with pytest.raises(TrustError, match="must not be expired at 2026-01-26T12:00:00Z"):
        device.manifest()
    assert device.state().time_floor == NOW


@pytest.mark.parametrize("back", [EPOCH, NOW - days(1), NOW + days(5)])
def test_a_clock_that_steps_back_does_not_take_the_floor_with_it(
    repository: SignedRepository, device: Device, back: datetime
) -> None:
    repository.now = device.clock = NOW + days(10)
    repository.renew("targets")
    assert device.manifest() == b"first"
    device.clock = back
    repository.now = NOW + days(5)  # signed then, and expired at the floor
    repository.renew()
    with pytest.raises(TrustError, match=r"expired at 2026-01-25T12:00:00Z, got: timestamp\.json is expired"):
        device.manifest()
    assert device.state().time_floor == NOW + days(10)


def test_a_clock_ten_years_ahead_refuses_all_and_moves_nothing(repository: SignedRepository, device: Device) -> None:
    device.manifest()
    device.clock = NOW + days(3_650)
    repository.publish(b"second")
    with pytest.raises(TrustError, match=r"must not be expired at 2036-01-13T12:00:00Z.*set the clock right"):
        device.manifest()
    assert device.state().time_floor == NOW
    device.clock = NOW
    assert device.manifest() == b"second"


@pytest.mark.parametrize(
    "said", ["2036-01-15T12:00:00Z", "2026-02-01T00:00:00Z", "2026-01-18T12:00:00Z", "9999-12-31T23:59:59Z"]
)
@pytest.mark.parametrize("clock", [EPOCH, NOW])
def test_a_stamp_after_which_something_is_expired_is_refused_and_moves_nothing(
    repository: SignedRepository, device: Device, said: str, clock: datetime
) -> None:
    """2026-01-18T12:00:00Z is when the timestamp itself expires: a stamp cannot reach beyond its own end."""
    device.clock = clock
    device.manifest()
    repository.signed_at = said
    repository.renew()
    with pytest.raises(TrustError, match="must not be expired at") as caught:
        device.manifest()
    assert said in str(caught.value)
    assert device.state().time_floor == NOW
    repository.signed_at = None
    repository.publish(b"second")
    assert device.manifest() == b"second"


@pytest.mark.parametrize(
    "said",
    [None, 5, True, [], {}, "", "now", "2026-01-16", "2026-01-16T12:00:00", "2026-01-16T12:00:00+01:00", "9" * 99],
)
def test_a_stamp_that_cannot_be_read_moves_nothing_and_stops_nothing(
    repository: SignedRepository, device: Device, said: Any
) -> None:
    device.manifest()
    repository.now = NOW + days(1)
    repository.timestamp.unrecognized_fields["signed_at"] = said
    repository.timestamp.version += 1
    repository.write("timestamp")
    assert device.manifest() == b"first"
    assert device.state().time_floor == NOW


def test_the_floor_moves_only_where_all_metadata_was_verified(repository: SignedRepository, device: Device) -> None:
    device.manifest()
    repository.now = NOW + days(1)
    repository.publish(b"second")
    device.server.instead["metadata/3.device-gateway.json"] = UpdateError("the line is cut")
    with pytest.raises(UpdateError):
        device.manifest()
    assert device.state().time_floor == NOW
    device.server.instead.clear()
    assert device.manifest() == b"second"
    assert device.state().time_floor == NOW + days(1)


@pytest.mark.parametrize("damage", [b"", b"{", None])
def test_a_floor_that_is_lost_comes_back_from_the_timestamp(device: Device, damage: bytes | None) -> None:
    device.clock = EPOCH
    device.manifest()
    (device.folder / "time_floor.json").unlink()
    if damage is not None:
        (device.folder / "time_floor.json").write_bytes(damage)
    assert device.state().time_floor is None
    assert device.manifest() == b"first"
    assert device.state().time_floor == NOW


def test_a_floor_of_a_stolen_key_falls_when_the_key_is_revoked(repository: SignedRepository, device: Device) -> None:
    repository.life = dict.fromkeys(repository.roles, days(365))
    repository.root.version += 1
    repository.write("root")
    repository.now = NOW + days(300)
    repository.renew("targets", role_of("gateway"))
    assert device.manifest() == b"first"
    assert device.state().time_floor == NOW + days(300)

    repository.now = NOW + days(1)
    repository.life |= {"timestamp": days(3), "snapshot": days(14)}
    repository.publish(b"second")
    with pytest.raises(TrustError, match=r"timestamp\.json is expired.*rotate the timestamp's key"):
        device.manifest()
    repository.replace_key("timestamp")
    assert device.manifest() == b"second"
    assert device.state().time_floor == NOW + days(1)


def test_python_tuf_is_the_version_whose_time_we_set() -> None:
    (pinned,) = re.findall(r'"tuf==([0-9.]+)"', (ROOT / "pyproject.toml").read_text())
    assert metadata.version("tuf") == pinned
    assert f"tuf=={pinned}\n" in (ROOT / "constraints.txt").read_text()


def test_a_python_tuf_that_takes_the_time_from_elsewhere_is_refused(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Updater] = []

    class LaterUpdater(Updater):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            del self._trusted_set.reference_time
            built.append(self)

    monkeypatch.setattr(tuf_session, "Updater", LaterUpdater)
    with pytest.raises(TrustError, match=r"install tuf==7\.0\.1"):
        device.manifest()
    assert built and device.server.asked == []


def test_a_new_device_at_1970_takes_nothing_that_had_expired_when_its_root_was_signed(
    repository: SignedRepository, device: Device
) -> None:
    """Somebody kept an old state of the repository, and a device leaves the factory with a root of today."""
    repository.root.unrecognized_fields["signed_at"] = f"{NOW + days(20):%Y-%m-%dT%H:%M:%SZ}"
    repository.root.version += 1
    device.shipped = repository.write("root")
    device.clock = EPOCH
    with pytest.raises(TrustError, match="must not be expired at 2026-02-04T12:00:00Z"):
        device.manifest()
    repository.now = NOW + days(21)
    repository.renew("targets", role_of("gateway"))
    assert device.manifest() == b"first"
    assert device.state().time_floor == NOW + days(21)


def test_a_root_of_a_wrong_clock_is_cured_by_a_newer_one(repository: SignedRepository, device: Device) -> None:
    device.manifest()
    for said in (NOW + days(3_650), NOW):
        repository.root.unrecognized_fields["signed_at"] = f"{said:%Y-%m-%dT%H:%M:%SZ}"
        repository.root.version += 1
        repository.write("root")
        if said > NOW:
            with pytest.raises(TrustError, match="must not be expired at 2036-01-13T12:00:00Z"):
                device.manifest()
    assert device.manifest() == b"first"
    assert device.state().time_floor == NOW
