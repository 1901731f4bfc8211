"""The tables of the report."""

import math
from dataclasses import replace

from edge_runtime.measurement import RESOURCES
from quality_gates.evidence import LatencyInTurns
from quality_gates.report import Side, SliceRow, SliceValue
from quality_gates.report.tables import deployed_words, side_rows, slice_lines, turn_lines
from tests.quality_gates.builders import turn_latency
from tests.quality_gates.report import examples

CANDIDATE = Side(
    role="candidate",
    name="int8",
    accuracy=0.93,
    slices=(SliceValue(name="recall of 8", value=0.4),),
    figures=replace(examples.resources(), size_bytes=10_000, latency_p50_ms=0.2),
)
PARENT = Side(
    role="parent",
    name="FP32",
    accuracy=0.95,
    slices=(SliceValue(name="recall of 8", value=0.9),),
    figures=replace(examples.resources(), size_bytes=60_000, latency_p50_ms=math.nan),
)


def test_every_reference_says_how_the_candidate_compares() -> None:
    rows = {row.label: row.cells for row in side_rows((CANDIDATE, PARENT))}
    assert [cell.value for cell in rows["Accuracy"]] == ["93.0 %", "95.0 %"]
    assert [cell.note for cell in rows["Accuracy"]] == ["", "candidate −2.0 pp"]
    assert rows["recall of 8"][1].note == "candidate −50.0 pp"
    assert rows["File size"][1].note == "candidate 6.0× smaller"


def test_what_was_not_measured_is_a_dash_without_a_comparison() -> None:
    latency = next(row for row in side_rows((CANDIDATE, PARENT)) if row.label == "Latency p50")
    assert (latency.cells[1].value, latency.cells[1].note) == ("–", "")


def test_without_a_candidate_nothing_is_compared() -> None:
    assert all(cell.note == "" for row in side_rows((PARENT,)) for cell in row.cells)


def test_equal_figures_are_called_the_same() -> None:
    twin = PARENT.model_copy(update={"role": "candidate"})
    rows = {row.label: row.cells[1].note for row in side_rows((twin, PARENT))}
    assert rows["Accuracy"] == "the same"
    assert rows["File size"] == "about the same"


def test_the_slice_that_lost_most_comes_first_and_the_unmeasured_last() -> None:
    rows = (
        SliceRow(slice="sensor: 197 values, too many to list", n=9, parent=0.9, deployed=0.9, candidate=0.1),
        SliceRow(slice="unmeasured", n=4, parent=0.9),
        SliceRow(slice="better", n=4, parent=0.9, deployed=0.8, candidate=0.9),
        SliceRow(slice="worst", n=4, parent=0.4, deployed=0.9, candidate=0.4),
        SliceRow(slice="worse", n=4, parent=0.9, deployed=0.9, candidate=0.8),
    )
    names = [line.row.slice for line in slice_lines(rows)]
    assert names[:-1] == ["worst", "worse", "better", "unmeasured"]
    assert names[-1].startswith("sensor: ")  # one line in place of a column's slices


def test_without_a_deployed_model_the_parent_orders_the_slices() -> None:
    rows = (
        SliceRow(slice="same", n=4, parent=0.9, candidate=0.9),
        SliceRow(slice="lost", n=4, parent=0.9, candidate=0.5),
    )
    lines = slice_lines(rows)
    assert [line.row.slice for line in lines] == ["lost", "same"]
    assert lines[0].vs_deployed is None


def test_what_is_deployed_is_said_in_words() -> None:
    assert deployed_words(examples.refused()) == "version 2"
    assert deployed_words(examples.first_deployment()) == "none yet"


def test_scores_that_are_no_shares_of_rows_are_plain_numbers() -> None:
    worse, better = (side.model_copy(update={"accuracy": -value}) for side, value in ((CANDIDATE, 12.5), (PARENT, 10)))
    rows = {row.label: row.cells for row in side_rows((worse, better), shares=False)}
    assert [cell.value for cell in rows["Score"]] == ["−12.5", "−10.0"]  # rounded alike
    assert rows["Score"][1].note == "candidate −2.50"


def _notes(*turns: LatencyInTurns) -> dict[str, str]:
    fast = CANDIDATE.model_copy(update={"figures": replace(examples.resources(), latency_p50_ms=0.1)})
    slow = PARENT.model_copy(update={"figures": replace(examples.resources(), latency_p50_ms=1.06, load_ms=99.0)})
    return {row.label: row.cells[1].note for row in side_rows((fast, slow), turns=turns)}


TIMES = [resource.title for resource in RESOURCES.values() if resource.is_time]


def test_times_of_two_measurements_do_not_compare() -> None:
    notes = _notes()
    assert len(TIMES) >= 3 and {notes[title] for title in TIMES} == {""}
    assert notes["Peak memory"] == "about the same"


def test_energy_is_told_where_it_was_measured_and_never_compared() -> None:
    known = CANDIDATE.model_copy(update={"figures": replace(examples.resources(), energy_mj=1.5)})
    rows = {row.label: row.cells for row in side_rows((known, PARENT))}
    assert [(cell.value, cell.note) for cell in rows["Energy of a row"]] == [("1.50 mJ", ""), ("–", "")]
    assert "Energy of a row in memory" not in rows
    assert not [row.label for row in side_rows((CANDIDATE, PARENT)) if row.label.startswith("Energy")]


def test_times_from_the_same_turns_compare_but_for_the_load() -> None:
    turns = LatencyInTurns(1, {"candidate": turn_latency(0.1), "parent": turn_latency(0.21, latency_p99_ms=0.1)})
    notes = _notes(replace(turns, batch_size=8), turns)
    assert notes["Latency p50"] == "candidate 2.1× faster"
    assert notes["Latency p99"] == "candidate 2.0× slower"
    assert notes["Load time"] == ""


def test_a_busy_machine_or_a_missing_model_compares_nothing() -> None:
    for parent in ({"parent": turn_latency(spread=3.0)}, {}):
        turns = LatencyInTurns(1, {"candidate": turn_latency(0.1), **parent})
        assert {_notes(turns)[title] for title in TIMES} == {""}
    of_eight = LatencyInTurns(8, {"candidate": turn_latency(0.1), "parent": turn_latency()})
    assert _notes(of_eight)["Latency p50"] == ""


def test_the_details_have_every_model_that_was_timed_and_why_it_does_not_compare() -> None:
    turns = LatencyInTurns(
        1, {"candidate": turn_latency(0.1), "parent": turn_latency(undisturbed=2)}, {"deployed": "it crashed"}
    )
    candidate, parent, deployed = turn_lines([turns])
    assert (candidate.p10, candidate.p50, candidate.p99) == ("0.10 ms", "0.10 ms", "0.20 ms")
    assert (candidate.spread, candidate.switches, candidate.calls, candidate.note) == ("2.0 %", "3", "398 of 400", "")
    assert parent.note == "These times do not compare: 2 of 400 calls kept the CPU, and at least 20 must."
    assert (deployed.p50, deployed.note) == ("–", "These times do not compare: it crashed.")
