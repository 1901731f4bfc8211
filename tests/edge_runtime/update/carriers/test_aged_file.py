from pathlib import Path

import pytest

from edge_runtime.update.carriers.aged_file import AgedFile, Moment
from tests.edge_runtime.update.clocks import FakeClock


@pytest.fixture
def file(tmp_path: Path, clock: FakeClock) -> AgedFile:
    return AgedFile(tmp_path / "state.json", clock.now)


def test_what_was_written_is_read_with_its_age(file: AgedFile, clock: FakeClock) -> None:
    file.write({"a": 1})
    clock.passes(100)
    assert file.read() == ({"a": 1}, 100.0)


def test_nothing_is_no_age(file: AgedFile) -> None:
    assert file.read() == ({}, 0.0)


@pytest.mark.parametrize("wall_s", [0.0, 5e9])
def test_a_clock_that_is_set_within_a_boot_does_not_count(file: AgedFile, clock: FakeClock, wall_s: float) -> None:
    file.write({})
    clock.passes(50)
    clock.wall_s = wall_s
    assert file.read() == ({}, 50.0)


def test_across_a_reboot_the_wall_clock_counts(file: AgedFile, clock: FakeClock) -> None:
    file.write({})
    clock.reboots(down_s=1000)
    assert file.read() == ({}, 1010.0)


@pytest.mark.parametrize("wall_s", [0.0, 1.8e9 - 1e6])
def test_across_a_reboot_a_clock_that_steps_back_counts_as_the_time_since_the_boot(
    file: AgedFile, clock: FakeClock, wall_s: float
) -> None:
    file.write({})
    clock.reboots(wall_s=wall_s)
    assert file.read() == ({}, 10.0)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"content": 1}', '{"content": {}, "written": {"boot": 1}}',
             '{"content": [], "written": {}}',
             '{"content": {}, "written": {"boot": "b", "uptime_s": "x", "wall_s": 1}}', "[" * 100_000]
)  # fmt: skip
def test_a_file_that_cannot_be_read_counts_as_none(
    tmp_path: Path, clock: FakeClock, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    assert AgedFile(path, clock.now).read() == ({}, 0.0)
    assert "begun anew" in caplog.text


def test_this_moment_is_later_than_the_one_before() -> None:
    before = Moment.now()
    assert 0.0 <= Moment.now().since(before) < 60.0
    assert before.boot
