import json
from pathlib import Path

import pytest

from edge_runtime.update import Politeness
from edge_runtime.update.carriers import politeness as module
from edge_runtime.update.carriers.politeness import MOST_AN_HOUR
from tests.edge_runtime.update.clocks import FakeClock

HOUR_S = 3600.0


def _politeness(folder: Path, clock: FakeClock, jitter: float = 0.0) -> Politeness:
    return Politeness(folder / "politeness.json", clock.now, lambda: jitter)


@pytest.mark.parametrize("absent", [True, False])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("every_s", [1.0, 60.0, 700.0])
def test_what_always_fails_is_asked_at_most_five_times_in_any_hour(
    tmp_path: Path, clock: FakeClock, absent: bool, jitter: float, every_s: float
) -> None:
    asked = []
    while clock.passed_s < 6 * HOUR_S:
        politeness = _politeness(tmp_path, clock, jitter)  # each time another run
        wait = politeness.wait_s("a")
        if wait == 0:
            asked.append(clock.passed_s)
            politeness.failed("a", absent=absent)
        clock.passes(max(wait, every_s))
    assert len(asked) > 6
    assert max(sum(at <= other < at + HOUR_S for other in asked) for at in asked) <= MOST_AN_HOUR


def test_waits_double(tmp_path: Path, clock: FakeClock) -> None:
    politeness = _politeness(tmp_path, clock)
    waits = []
    for _ in range(4):
        waits.append(politeness.failed("a"))
        clock.passes(waits[-1])
    assert waits == [60, 120, 240, 480]


def test_other_keys_do_not_wait(tmp_path: Path, clock: FakeClock) -> None:
    politeness = _politeness(tmp_path, clock)
    politeness.failed("a")
    assert politeness.wait_s("a") > 0
    assert politeness.wait_s("b") == 0


@pytest.mark.parametrize(("asked_for", "wait"), [(5.0, 60.0), (7200.0, 7200.0), (1e9, 86_400.0)])
def test_a_servers_wish_is_granted_within_a_day(
    tmp_path: Path, clock: FakeClock, asked_for: float, wait: float
) -> None:
    assert _politeness(tmp_path, clock).failed("a", retry_after_s=asked_for) == wait


def test_success_ends_the_row_but_not_the_hour(tmp_path: Path, clock: FakeClock) -> None:
    politeness = _politeness(tmp_path, clock)
    for _ in range(MOST_AN_HOUR):
        politeness.failed("a")
        politeness.succeeded("a")
    assert politeness.wait_s("a") > HOUR_S - 10
    clock.passes(HOUR_S)
    assert politeness.failed("a") == 60


def test_absence_is_remembered_until_it_is_there(tmp_path: Path, clock: FakeClock) -> None:
    politeness = _politeness(tmp_path, clock)
    politeness.failed("a", absent=True)
    assert _politeness(tmp_path, clock).is_absent("a")
    politeness.succeeded("a")
    assert not _politeness(tmp_path, clock).is_absent("a")


def test_success_without_trouble_writes_nothing(tmp_path: Path, clock: FakeClock) -> None:
    _politeness(tmp_path, clock).succeeded("a")
    assert not list(tmp_path.iterdir())


def test_a_device_that_reboots_often_without_a_clock_asks_again_in_the_end(tmp_path: Path, clock: FakeClock) -> None:
    clock.wall_s = 0.0
    for _ in range(3):
        _politeness(tmp_path, clock).failed("a")
    reboots = 0
    while (politeness := _politeness(tmp_path, clock)).wait_s("a") > 0:
        politeness.remember()
        clock.reboots(wall_s=0.0)
        clock.passes(30)
        reboots += 1
    assert 3 < reboots < 10


def test_old_and_many_entries_are_forgotten(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ENTRIES", 5)
    politeness = _politeness(tmp_path, clock)
    politeness.failed("old")
    clock.passes(8 * 86_400)
    for number in range(8):
        politeness.failed(str(number))
    content = json.loads((tmp_path / "politeness.json").read_text())["content"]
    assert set(content) == {"3", "4", "5", "6", "7"}


@pytest.mark.parametrize(
    "entry", [1, {}, {"failures": -1, "ages": [], "wait_s": 1.0, "absent": True},
              {"failures": 1, "ages": ["x"], "wait_s": 1.0, "absent": True},
              {"failures": 1, "ages": [1.0] * 9, "wait_s": 1.0, "absent": True},
              {"failures": 1, "ages": [1.0], "wait_s": 1.0, "absent": 3},
              {"failures": 1, "ages": [1.0], "wait_s": -1.0, "absent": False}]
)  # fmt: skip
def test_strange_entries_count_as_none(tmp_path: Path, clock: FakeClock, entry: object) -> None:
    written = {"boot": "boot-0", "uptime_s": 1000.0, "wall_s": 1.8e9}
    (tmp_path / "politeness.json").write_text(json.dumps({"content": {"a": entry}, "written": written}))
    assert _politeness(tmp_path, clock).wait_s("a") == 0
