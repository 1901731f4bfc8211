"""Pages of a run: keys that group its artifacts, tables that grow, bars, and the way to the report."""

import json
import math
import re

from hypothesis import given
from hypothesis import strategies as st

from flows.visibility.artifact_writer import Artifact
from flows.visibility.links import ReportPlaces
from flows.visibility.run_pages import RunPages, artifact_key
from tasks.progress import Advance, Cell
from tests.flows.visibility.outcomes import line, outcome


class Shelf:
    """A writer that keeps the newest form of each artifact."""

    def __init__(self) -> None:
        self.kept: dict[str, Artifact] = {}

    def put(self, key: str, artifact: Artifact) -> None:
        self.kept[key] = artifact


def shown(*advances: Advance) -> dict[str, Artifact]:
    shelf = Shelf()
    pages = RunPages("digits", shelf)
    for advance in advances:
        pages.advance(advance)
    return shelf.kept


@given(st.text(min_size=1), st.text())
def test_any_names_make_a_key_that_prefect_takes(model: str, device: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", artifact_key(model, device, "rungs"))


def test_keys_are_stable_and_different_names_have_different_keys() -> None:
    assert artifact_key("digits", "camera", "rungs") == "digits-camera-rungs"
    assert artifact_key("digits", "", "rounds") == "digits-rounds"
    keys = {artifact_key(model, "rungs") for model in ("a_b", "a.b", "A_B", "a-b")}
    assert len(keys) == 4
    assert artifact_key("a_b", "rungs") == artifact_key("a_b", "rungs")


def test_a_table_grows_by_what_is_told_and_a_bar_says_how_far_it_is() -> None:
    lines: list[dict[str, Cell]] = [{"rung": "PTQ", "p50 ms": math.nan}, {"rung": "QAT", "p50 ms": 1.5}]
    kept = shown(
        Advance("rungs", 1, 4, "PTQ: no. Next rung: QAT.", "camera", lines[:1]),
        Advance("rungs", 2, 4, "QAT: yes.", "camera", lines[1:]),
    )
    table, bar = kept["digits-camera-rungs"], kept["digits-camera-rungs-progress"]
    assert json.loads(table.data) == [{"rung": "PTQ", "p50 ms": None}, {"rung": "QAT", "p50 ms": 1.5}]
    assert (table.kind, table.text) == ("table", "Rungs of digits on camera. QAT: yes.")
    assert (bar.kind, bar.data) == ("progress", 50.0)


def test_a_whole_table_replaces_the_one_before() -> None:
    kept = shown(*(Advance("gates", 1, 1, said, "camera", [{"gate": said}], whole=True) for said in ("fail", "pass")))
    assert json.loads(kept["digits-camera-gates"].data) == [{"gate": "pass"}]


def test_a_training_is_a_bar_alone() -> None:
    kept = shown(Advance("training", 30, 40, "fine-tuning round 1: step 30 of 40"))
    assert {key: page.data for key, page in kept.items()} == {"digits-training-progress": 75.0}


def test_a_device_s_answer_leads_to_its_report() -> None:
    shelf = Shelf()
    answer = outcome(line("camera", published=True))
    RunPages("digits", shelf).answers(answer, ReportPlaces("https://mlflow.example", "7"))
    assert shelf.kept["digits-camera-report"].data == (
        "**digits version 3 on camera: published (closest: accuracy, –)**\n\n"
        "[Gate report](https://mlflow.example/#/experiments/7/runs/run-camera/artifacts/report.html)\n"
    )
    RunPages("digits", shelf).answers(answer, ReportPlaces(None, "7"))
    assert "`edgewright report digits/3 --device camera (run run-camera)`" in shelf.kept["digits-camera-report"].data
