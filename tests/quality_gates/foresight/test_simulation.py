"""The chance to pass all gates at once: what it is, which gate holds it down, and what more rows would do."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.foresight import Expected, joint_chance
from quality_gates.gates import GatePolicy
from quality_gates.verdict import GateResult, Verdict

ROWS = pd.DataFrame({"target": np.arange(600) % 8, "site": np.where(np.arange(600) % 3 == 0, "north", "south")})
ASSUMED = Expected(discordance=0.05, accuracy=0.9)


def policy(*gates: dict[str, Any]) -> GatePolicy:
    named = [{"name": f"gate {place}", "confidence": 0.95} | gate for place, gate in enumerate(gates)]
    return GatePolicy.model_validate({"gates": named})


def recall(of: int, margin: float = 0.1) -> dict[str, Any]:
    return {"kind": "non_inferiority", "metric": "recall", "of": of, "against": "parent", "margin": margin}


def accuracy(margin: float, **changes: Any) -> dict[str, Any]:
    return {"kind": "non_inferiority", "metric": "accuracy", "against": "parent", "margin": margin} | changes


def test_the_gates_of_eight_classes_pass_together_far_less_often_than_each_of_them() -> None:
    found = joint_chance(policy(*(recall(of) for of in range(8))), ROWS, ASSUMED, draws=60)
    assert found.chance < min(found.by_gate.values()) - 0.2
    assert found.bottleneck is not None and found.by_gate[found.bottleneck] == min(found.by_gate.values())
    assert found.rows_needed is not None and found.rows_needed > 600


def test_the_chance_of_one_gate_is_that_of_its_test() -> None:
    found = joint_chance(policy(accuracy(0.02)), ROWS, ASSUMED)
    assert found.chance == found.by_gate["gate 0"] == pytest.approx(0.70, abs=0.12)  # enumerated: 0.70


def test_as_many_rows_as_it_names_suffice_and_half_of_them_do_not() -> None:
    narrow = policy(accuracy(0.02), recall(1, 0.2))
    found = joint_chance(narrow, ROWS, ASSUMED, draws=60)
    assert found.rows_needed is not None and found.rows_needed > 600
    times = found.rows_needed // 600 + 1
    more = pd.concat([ROWS] * times, ignore_index=True).iloc[: found.rows_needed]
    assert joint_chance(narrow, more, ASSUMED, draws=60).chance > 0.65
    assert joint_chance(narrow, more.iloc[: found.rows_needed // 3], ASSUMED, draws=60).chance < 0.7


def test_rates_that_were_seen_take_the_place_of_those_assumed() -> None:
    gates = policy(accuracy(0.05), accuracy(0.075, slice={"column": "site", "equals": "north"}))
    counts = {"n": 200, "gained": 15, "lost": 15, "candidate_value": 0.8}
    seen = [_seen(gates, 1, **counts), _seen(gates, 1, **counts)]
    expected = Expected.from_verdicts(gates, seen, 0.01, 0.9)
    rate = expected.by_gate["gate 1"]
    assert rate.accuracy == pytest.approx(0.8)
    assert (rate.discordance, expected.versions) == (0.15, 2)
    before, after = (joint_chance(gates, ROWS, each, draws=25) for each in (Expected(0.01, 0.9), expected))
    assert after.by_gate["gate 1"] < before.by_gate["gate 1"] == 1.0 and after.versions == 2


@pytest.mark.parametrize("change", [{"name": "another"}, {"slice": "site = south"}, {"metric": "recall"}])
def test_what_another_gate_counted_tells_nothing(change: dict[str, str]) -> None:
    gates = policy(accuracy(0.1, slice={"column": "site", "equals": "north"}))
    seen = [_seen(gates, 0, n=200, gained=15, lost=15, **change)]
    expected = Expected.from_verdicts(gates, seen, 0.01, 0.9)
    assert (dict(expected.by_gate), expected.versions) == ({}, 0)


def _seen(gates: GatePolicy, place: int, **fields: Any) -> Verdict:
    gate = gates.gates[place]
    said = {"name": gate.name, "kind": gate.kind, "outcome": "pass", "blocking": True, "sentence": "It held."}
    return Verdict.of((GateResult.model_validate(said | gate.facts | fields),))


def test_the_extra_row_of_an_auroc_gate_is_a_part_of_its_chance() -> None:
    area = {"kind": "non_inferiority", "metric": "auroc", "of": 1, "against": "parent", "margin": 0.02}
    found = joint_chance(policy(area), ROWS, ASSUMED, draws=15)
    assert found.by_gate["gate 0"] < 0.4  # 75 rows of the class, of which one more at the bottom costs 1.3 points


def test_gates_on_scores_floors_flips_and_found_slices_are_simulated_and_the_others_left_out() -> None:
    gates = policy(
        {"kind": "calibration", "metric": "brier", "against": "parent", "margin": 0.2},
        {"kind": "limit", "metric": "accuracy", "at_least": 0.7},
        {"kind": "flips", "against": "deployed", "at_most": 0.06},
        {"kind": "found_slices", "against": "parent", "min_rows": 80, "carried": 3, "margin": 0.25},
        accuracy(0.1, metric="mae"),
    )
    found = joint_chance(gates, ROWS, ASSUMED, validation=ROWS, draws=30)
    assert set(found.by_gate) == {"gate 0", "gate 1", "gate 2", "gate 3"} and found.left_out == ("gate 4",)
    assert all(share > 0.8 for share in found.by_gate.values())
    assert "gate 3" in joint_chance(gates, ROWS, ASSUMED, draws=5).left_out


def test_a_gate_that_only_warns_stops_nothing() -> None:
    found = joint_chance(policy(accuracy(0.001, on_inconclusive="warn")), ROWS, ASSUMED, draws=40)
    assert found.chance > 0.9


def test_a_gate_that_no_number_of_rows_passes_has_none() -> None:
    found = joint_chance(policy(recall(1), accuracy(0.0)), ROWS, ASSUMED, draws=20)
    assert found.rows_needed is None and found.bottleneck == "gate 1"


def test_rows_of_groups_show_less_and_more_groups_are_more_rows() -> None:
    grouped = ROWS.assign(part=np.arange(600) // 30)
    gates = policy(accuracy(0.02))
    alone = joint_chance(gates, grouped, ASSUMED, draws=40)
    together = joint_chance(gates, grouped, ASSUMED, draws=40, group="part")
    assert together.chance < alone.chance
    assert together.rows_needed is None or together.rows_needed > (alone.rows_needed or 0)


def test_a_gate_against_the_anchor_is_simulated_too() -> None:
    found = joint_chance(policy(accuracy(0.02, against="anchor")), ROWS, ASSUMED, draws=40)
    assert 0.4 < found.by_gate["gate 0"] < 0.95
