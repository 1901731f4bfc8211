"""Gates as rows of the report."""

from quality_gates.report.gates import GateGroup, gate_groups, remedies
from quality_gates.report.intervals import interval_axis
from quality_gates.verdict import Verdict
from tests.quality_gates.report import examples


def groups(verdict: Verdict) -> tuple[GateGroup, ...]:
    return gate_groups(verdict.gates, interval_axis(verdict.gates))


def test_no_gate_is_left_out_and_each_family_has_its_picture() -> None:
    verdict = examples.refused().verdict
    comparisons, limits = groups(verdict)
    assert len(comparisons.rows) + len(limits.rows) == len(verdict.gates)
    assert all(row.interval and not row.limit for row in comparisons.rows)
    assert all(row.limit and not row.interval for row in limits.rows)


def test_what_did_not_pass_comes_first() -> None:
    comparisons, _ = groups(examples.refused().verdict)
    assert [row.gate.outcome for row in comparisons.rows] == ["fail", "fail", "pass", "pass"]


def test_a_kind_that_the_report_does_not_know_is_shown_plainly() -> None:
    gate = examples.refused().verdict.gates[0].model_copy(update={"kind": "parity"})
    (other,) = gate_groups([gate], interval_axis([gate]))
    assert other.title == "Other gates"
    assert other.rows[0].interval is None and other.rows[0].limit is None


def test_the_picture_is_also_told_in_words() -> None:
    comparisons, limits = groups(examples.refused().verdict)
    recall = next(row for row in comparisons.rows if row.gate.name == "recall-8-deployed")
    assert recall.spoken.startswith("difference −59.5 pp, bounds −71.")
    assert recall.spoken.endswith("margin −10.0 pp")
    assert limits.rows[0].spoken == "13.8 kB, at most 20 kB"


def test_a_gate_that_only_warns_says_so() -> None:
    gate = examples.undecided().verdict.gates[2].model_copy(update={"blocking": False})
    assert gate.outcome == "inconclusive"
    (group,) = gate_groups([gate], interval_axis([gate]))
    assert "warns only, does not block" in group.rows[0].facts


def test_remedies_name_the_open_gates_and_say_the_same_thing_once() -> None:
    refused = remedies(examples.refused().verdict.gates)
    assert [names for names, _ in refused] == ["accuracy-deployed", "recall-8-deployed"]
    assert len(remedies(examples.not_measured().verdict.gates)) == 1
    assert remedies(examples.published().verdict.gates) == ()
    assert remedies(examples.first_deployment().verdict.gates) == ()
