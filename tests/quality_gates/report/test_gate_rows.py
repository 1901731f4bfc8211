"""Gates as rows of the report."""

import pytest

from quality_gates.report.gate_lines import gate_line
from quality_gates.report.gate_rows import GateGroup, gate_groups, remedies, worst_gate
from quality_gates.verdict import Verdict
from tests.quality_gates.report import examples


def groups(verdict: Verdict) -> tuple[GateGroup, ...]:
    return gate_groups(verdict.gates)


def test_no_gate_is_left_out_and_each_family_has_its_picture() -> None:
    verdict = examples.refused().verdict
    comparisons, limits = groups(verdict)
    assert len(comparisons.rows) + len(limits.rows) == len(verdict.gates)
    assert all(row.interval and not row.limit for row in comparisons.rows)
    assert all(row.limit and not row.interval for row in limits.rows)


def test_what_did_not_pass_comes_first() -> None:
    comparisons, _ = groups(examples.refused().verdict)
    assert [row.gate.outcome for row in comparisons.rows] == ["fail", "fail", "pass", "pass"]


def test_a_kind_that_the_report_does_not_know_is_drawn_by_its_numbers() -> None:
    gate = examples.refused().verdict.gates[0].model_copy(update={"kind": "of next year"})
    (drawn,) = gate_groups([gate])
    assert drawn.title == "Against fixed bounds" and drawn.rows[0].interval
    plain = gate.model_copy(update=dict.fromkeys(("estimate", "lower", "upper", "candidate_value", "threshold")))
    (shown,) = gate_groups([plain])
    assert shown.rows[0].interval is None and shown.rows[0].limit is None


def test_gates_of_different_units_have_axes_of_their_own() -> None:
    accuracy = examples.refused().verdict.gates[0]
    error = accuracy.model_copy(update={"metric": "mae", "estimate": 3.0, "lower": 2.0, "upper": 4.0, "threshold": 5.0})
    share = accuracy.model_copy(update={"kind": "flips", "estimate": 0.01, "upper": 0.02, "threshold": 0.03})
    titles = [group.title for group in gate_groups([accuracy, error, share])]
    assert titles == ["Against the models before it", "Against the models before it: mae", "Against fixed bounds"]


def test_a_bound_without_an_interval_is_a_bar() -> None:
    parity = examples.refused().verdict.gates[0].model_copy(
        update={"kind": "parity", "lower": None, "upper": None, "estimate": 0.001, "candidate_value": None}
    ).model_copy(update={"threshold": 0.01})  # fmt: skip
    (group,) = gate_groups([parity])
    assert group.rows[0].limit is not None and group.rows[0].limit.allowed == "below"


def test_the_picture_is_also_told_in_words() -> None:
    comparisons, limits = groups(examples.refused().verdict)
    recall = next(row for row in comparisons.rows if row.gate.name == "recall-8-deployed")
    assert recall.spoken.startswith("difference −59.5 pp, bounds −71.")
    assert recall.spoken.endswith("margin −10.0 pp")
    assert limits.rows[0].spoken == "13.8 kB, at most 20 kB"


def test_a_gate_that_only_warns_says_so() -> None:
    gate = examples.undecided().verdict.gates[2].model_copy(update={"blocking": False})
    assert gate.outcome == "inconclusive"
    (group,) = gate_groups([gate])
    assert "warns only, does not block" in group.rows[0].facts


def test_the_worst_gate_is_what_stands_in_the_way_else_what_has_the_least_room() -> None:
    refused = examples.refused().verdict.gates
    assert worst_gate(refused) == next(gate for gate in refused if gate.outcome == "fail")
    undecided = examples.undecided().verdict.gates
    assert worst_gate([*undecided, refused[1]]) == refused[1]  # a failed one before an undecided one
    passed = examples.published().verdict.gates
    tight = passed[0].model_copy(update={"name": "tight", "lower": -0.0199, "threshold": -0.02})
    closest = worst_gate([*passed, tight])
    assert closest is not None and closest.name == "tight"
    size = next(gate for gate in passed if gate.name == "size").model_copy(update={"candidate_value": 19_999.0})
    assert worst_gate([*passed, tight, size]) == size
    assert worst_gate([passed[0].model_copy(update={"outcome": "not_applicable"})]) is None


def test_remedies_name_the_open_gates_and_say_the_same_thing_once() -> None:
    refused = remedies(examples.refused().verdict.gates)
    assert [names for names, _ in refused] == ["accuracy-deployed", "recall-8-deployed"]
    assert len(remedies(examples.not_measured().verdict.gates)) == 1
    assert remedies(examples.published().verdict.gates) == ()
    assert remedies(examples.first_deployment().verdict.gates) == ()


@pytest.mark.parametrize(
    ("changed", "bounds", "threshold"),
    [
        ({"lower": -0.106, "upper": -0.04998, "threshold": -0.05}, "−10.600 pp .. −4.998 pp", "−5.000 pp"),
        ({"lower": -0.106, "upper": -0.0496, "threshold": -0.05}, "−10.60 pp .. −4.96 pp", "−5.00 pp"),
        ({"lower": -0.106, "upper": -0.05, "threshold": -0.05}, "−10.6 pp .. −5.0 pp", "−5.0 pp"),
        ({"lower": -0.106, "upper": 0.01, "threshold": -0.05}, "−10.6 pp .. +1.0 pp", "−5.0 pp"),
        ({"kind": "limit", "metric": "recall", "lower": 0.8996, "upper": 0.95, "threshold": 0.9}, "89.96 % .. 95.00 %",
         "90.00 %"),
        ({"metric": "mae", "unit": "value", "lower": -0.5004, "upper": 0.1, "threshold": -0.5}, "−0.5004 .. +0.1000",
         "−0.5000"),
        ({"kind": "limit", "metric": "latency_p50_ms", "lower": 1.0, "upper": 2.001, "threshold": 2.0},
         "1.000 ms .. 2.001 ms", "2 ms"),
    ],
)  # fmt: skip
def test_a_bound_never_reads_like_the_threshold_from_which_it_differs(
    changed: dict[str, object], bounds: str, threshold: str
) -> None:
    gate = examples.refused().verdict.gates[0].model_copy(update=changed)
    line = gate_line(gate)
    assert (line.bounds, line.threshold) == (bounds, threshold)


def test_a_value_never_reads_like_the_limit_that_it_exceeds() -> None:
    size = next(gate for gate in examples.refused().verdict.gates if gate.name == "size")
    picture = gate_groups([size.model_copy(update={"candidate_value": 20_030, "estimate": 20_030})])[0].rows[0].limit
    assert picture is not None and (picture.value_label, picture.budget_label) == ("20.03 kB", "at most 20 kB")


def test_gates_whose_numbers_need_more_digits_share_the_axis_of_the_others() -> None:
    error = examples.refused().verdict.gates[0].model_copy(update={"metric": "mae", "unit": "value"})
    near = error.model_copy(update={"lower": -0.5004, "upper": 0.1, "threshold": -0.5})
    assert len(gate_groups([error, near])) == 1
