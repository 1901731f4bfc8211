import json
from pathlib import Path

import pytest

from edge_runtime.update import DailyTraffic, HeldBack
from tests.edge_runtime.update.clocks import FakeClock

CAP = 1_000_000


def _traffic(folder: Path, clock: FakeClock, cap: int | None = CAP) -> DailyTraffic:
    return DailyTraffic(folder / "traffic.json", cap, clock.now)


def test_without_a_cap_nothing_is_held_back_and_nothing_is_written(tmp_path: Path, clock: FakeClock) -> None:
    traffic = _traffic(tmp_path, clock, None)
    traffic.check(1 << 40)
    traffic.count(1 << 40)
    traffic.settle()
    assert traffic.received == 1 << 40
    assert not list(tmp_path.iterdir())


def test_the_cap_holds_across_runs(tmp_path: Path, clock: FakeClock) -> None:
    for _ in range(4):
        traffic = _traffic(tmp_path, clock)
        traffic.check(250_000)
        traffic.count(250_000)
        traffic.settle()
        clock.passes(3600)
    with pytest.raises(HeldBack, match="goes on in about 20 h") as raised:
        _traffic(tmp_path, clock).check(1)
    assert raised.value.reason == "cap"


def test_a_killed_run_is_counted_with_what_it_had_booked(tmp_path: Path, clock: FakeClock) -> None:
    traffic = _traffic(tmp_path, clock)
    traffic.check(300_000)
    traffic.count(100)  # and then it is killed
    assert _traffic(tmp_path, clock).left == 0


def test_a_day_after_the_first_byte_the_cap_begins_anew(tmp_path: Path, clock: FakeClock) -> None:
    traffic = _traffic(tmp_path, clock)
    traffic.check(CAP)
    traffic.count(CAP)
    traffic.settle()
    clock.passes(86_300)
    with pytest.raises(HeldBack):
        _traffic(tmp_path, clock).check(1)
    clock.passes(101)
    _traffic(tmp_path, clock).check(CAP)


def test_a_day_begins_anew_within_a_run(tmp_path: Path, clock: FakeClock) -> None:
    traffic = _traffic(tmp_path, clock)
    traffic.check(CAP)
    traffic.count(CAP)
    with pytest.raises(HeldBack):
        traffic.check(1)
    clock.passes(86_401)
    traffic.check(CAP)


@pytest.mark.parametrize("wall_s", [0.0, 1e9, 9e9])
def test_a_clock_that_is_set_gives_no_second_allowance(tmp_path: Path, clock: FakeClock, wall_s: float) -> None:
    traffic = _traffic(tmp_path, clock)
    traffic.check(CAP)
    traffic.count(CAP)
    traffic.settle()
    clock.wall_s = wall_s
    with pytest.raises(HeldBack):
        _traffic(tmp_path, clock).check(1)


def test_a_device_that_reboots_often_without_a_clock_goes_on_in_the_end(tmp_path: Path, clock: FakeClock) -> None:
    clock.wall_s = 0.0
    traffic = _traffic(tmp_path, clock)
    traffic.check(CAP)
    traffic.count(CAP)
    traffic.settle()
    held = 0
    for _ in range(30):
        clock.passes(3600)
        try:
            _traffic(tmp_path, clock).check(1)
            break
        except HeldBack:
            held += 1
        clock.reboots(wall_s=0.0)
    assert 20 <= held < 30


@pytest.mark.parametrize(
    "content", [{}, {"received": -1, "day_s": 0.0}, {"received": "x", "day_s": 1.0}, {"received": 5}]
)
def test_a_strange_count_begins_anew(tmp_path: Path, clock: FakeClock, content: dict[str, object]) -> None:
    written = {"boot": "boot-0", "uptime_s": 1000.0, "wall_s": 1.8e9}
    (tmp_path / "traffic.json").write_text(json.dumps({"content": content, "written": written}))
    assert _traffic(tmp_path, clock).left == CAP
