"""Advances of the ladder: a line for each rung, with the reason for the next one."""

from pathlib import Path

from tasks.job import Job
from tasks.progress import Advance, told_to
from tasks.selection.told_advances import tell_gates
from tests.end_to_end.tiny.variants import QAT
from tests.tasks.builders import on
from tests.tasks.climbing import climbed, recipe_of, snapshot

PTQ = {"kind": "ptq", "calibration": "minmax"}


def test_each_rung_is_told_with_its_result_and_what_follows(tmp_path: Path) -> None:
    heard: list[Advance] = []
    made = {(1, "PTQ minmax"): (240, 8_000), (1, "QAT"): (289, 8_000)}
    with told_to(heard.append):
        climbed(tmp_path, recipe_of([PTQ, QAT]), [snapshot(1, 7_000, 290)], made)
    first, second = [each.lines[0] for each in heard]
    assert (first["rung"], first["model"], first["bytes"]) == ("PTQ minmax", "parent", 8_000)
    assert str(first["gates hold"]).startswith("no: ")
    assert str(first["what follows"]).endswith("Next rung: QAT.")
    assert second["gates hold"] == "yes"
    assert [(each.stage, each.done, each.total, each.device) for each in heard] == [
        ("rungs", 1, 2, "tiny"),
        ("rungs", 2, 2, "tiny"),
    ]


def test_a_rung_that_the_model_does_not_take_is_told_with_the_reason(tmp_path: Path) -> None:
    heard: list[Advance] = []
    made = {(1, "QAT"): (289, 8_000)}
    with told_to(heard.append):
        climbed(tmp_path, recipe_of([PTQ, QAT]), [snapshot(1, 7_000, 290)], made, refusing=["PTQ minmax"])
    assert heard[0].lines[0]["gates hold"] == "no file"
    assert heard[0].lines[0]["what follows"] == "Passed over: PTQ minmax is not for this model"


def test_a_search_tells_its_files_too(tmp_path: Path) -> None:
    heard: list[Advance] = []
    recipe = recipe_of([PTQ], search={"objective": "size_bytes", "files": 2, "trainings": 0})
    made = {(1, "PTQ minmax"): (288, 8_000), (2, "PTQ minmax"): (288, 5_000)}
    with told_to(heard.append):
        climbed(tmp_path, recipe, [snapshot(1, 7_000, 290), snapshot(2, 3_000, 290)], made)
    assert [(each.done, each.total) for each in heard] == [(1, 2), (2, 2)]
    assert [each.lines[0]["bytes"] for each in heard] == [8_000, 5_000]


def test_the_gates_are_told_as_one_table(tmp_path: Path, tiny: Job) -> None:
    heard: list[Advance] = []
    made = {(1, "PTQ minmax"): (240, 8_000)}
    verdict = climbed(tmp_path, recipe_of([PTQ]), [snapshot(1, 7_000, 240)], made).chosen.verdict
    with told_to(heard.append):
        tell_gates(on(tiny), verdict)
    (told,) = heard
    assert told.whole and told.done == told.total == len(verdict.gates)
    assert told.said == f"fail: {verdict.headline}"
    assert {line["gate"]: line["outcome"] for line in told.lines} == {g.name: g.outcome for g in verdict.gates}
