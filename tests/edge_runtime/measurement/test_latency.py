"""Figures of blocks, and the rule by which figures say more about the machine than about the model."""

from typing import Any

import pytest

from edge_runtime.measurement import TurnLatency, too_busy
from edge_runtime.measurement.latency import ENOUGH, TimedBlock, TimedLoad

LOAD = TimedLoad(5.0, 4.8)
TIMES = LOAD.to_plain()


def block(*milliseconds: float, switches: int = 0) -> TimedBlock:
    return TimedBlock(milliseconds, (switches,) * len(milliseconds))


def latency(**changes: Any) -> TurnLatency:
    quiet = {
        "latency_p10_ms": 1.0, "latency_p50_ms": 1.05, "latency_p99_ms": 2.0, "spread": 0.03, "switches_per_s": 2.0,
        "blocks": 24, "calls": 400, "undisturbed": 398, "load_ms": 5.0, "load_cpu_ms": 4.8,
    }  # fmt: skip
    return TurnLatency(**quiet | changes)


def test_percentiles_are_over_the_calls_of_all_blocks() -> None:
    seen = TurnLatency.of(LOAD, [block(1.0, 2.0), block(3.0), block(4.0, 5.0)])
    assert (seen.latency_p10_ms, seen.latency_p50_ms, seen.latency_p99_ms) == pytest.approx((1.4, 3.0, 4.96))
    assert (seen.blocks, seen.calls, seen.undisturbed, seen.switches_per_s) == (3, 5, 5, 0.0)


def test_the_spread_is_that_of_the_blocks_medians() -> None:
    assert TurnLatency.of(LOAD, [block(2.0, 2.0, 9.0)] * 4).spread == 0.0
    assert TurnLatency.of(LOAD, [block(1.0), block(2.0), block(3.0)]).spread == pytest.approx(0.5)


def test_calls_that_lost_the_cpu_are_counted_and_are_no_time_of_the_model() -> None:
    disturbed = TimedBlock((1.0, 50.0, 1.0), (0, 3, 0))
    seen = TurnLatency.of(LOAD, [disturbed, block(1.0, 1.0)])
    assert (seen.latency_p99_ms, seen.spread) == (1.0, 0.0)
    assert (seen.calls, seen.undisturbed) == (5, 4)
    assert seen.switches_per_s == pytest.approx(3 / 0.054)


def test_where_every_call_lost_the_cpu_their_times_are_all_there_is() -> None:
    seen = TurnLatency.of(LOAD, [block(10.0, 30.0, switches=1), block(20.0, switches=2)])
    assert (seen.latency_p50_ms, seen.undisturbed) == (20.0, 0)
    assert seen.disturbance == f"0 of 3 calls kept the CPU, and at least {ENOUGH} must"


def test_quiet_figures_compare() -> None:
    assert latency().disturbance is None
    assert too_busy({"candidate": latency(), "parent": latency(undisturbed=ENOUGH)}) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"undisturbed": ENOUGH - 1}, "19 of 400 calls kept the CPU"),
        ({"switches_per_s": 101.0}, "other processes took the CPU away 101 times a second"),
        ({"latency_p10_ms": 0.8}, "p50 over p10 is 1.31, and at most 1.25 compares"),
        ({"spread": 0.3}, "the spread of its blocks is 0.30"),
        ({"latency_p99_ms": 11.0}, "p99 over p50 is 10.48"),
    ],
    ids=["disturbed", "switches", "p10", "spread", "p99"],
)
def test_one_model_that_is_disturbed_makes_the_machine_too_busy(changes: dict[str, Any], says: str) -> None:
    said = too_busy({"candidate": latency(), "parent": latency(**changes)})
    assert said is not None and said.startswith(f"parent: {says}")


def test_a_load_that_waited_says_nothing_about_the_model() -> None:
    assert latency().load_disturbance is None
    assert latency(load_cpu_ms=9.0).load_disturbance is None  # two threads
    waited = latency(load_ms=50.0).load_disturbance
    assert waited == "45.2 of its 50.0 ms were spent waiting for a CPU or the disk"


@pytest.mark.parametrize(
    "document", [None, {}, {"milliseconds": 1.0}, TIMES | {"cpu_milliseconds": "1"}, TIMES | {"milliseconds": 0.0}]
)
def test_what_is_no_load_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        TimedLoad.from_plain(document)
    assert TimedLoad.from_plain(LOAD.to_plain()) == LOAD


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"milliseconds": [1.0]},
        {"milliseconds": [], "switches": []},
        {"milliseconds": [1.0], "switches": []},
        {"milliseconds": ["1"], "switches": [0]},
        {"milliseconds": [float("nan")], "switches": [0]},
        {"milliseconds": [0.0], "switches": [0]},
        {"milliseconds": [1.0], "switches": [-1]},
        {"milliseconds": [1.0], "switches": [0.5]},
        {"milliseconds": [1.0], "switches": [0], "more": 1},
    ],
)
def test_what_is_no_block_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        TimedBlock.from_plain(document)
