"""No second chance by accident: looks are counted, and a new toolchain does not ask again for what was refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

import flows.commands.decision_commands
import flows.compress
from flows.cli import app
from flows.decisions import anchor_of
from quality_gates.verdict import Verdict
from tasks import job
from tasks.errors import RegistryError
from tasks.registry import EdgeModels, LookLedger, Runs, TakenLook
from tasks.selection import attempts, ladder, ledger_of
from tasks.upstream import check_recipe
from tasks.workspace import Workspace
from tests.flows.conftest import Variant

GATE: dict[str, Any] = {"kind": "non_inferiority", "metric": "accuracy", "against": "parent", "confidence": 0.95}
EIGHT = {"column": "label", "equals": 8}


def gates(margin: float, *further: Mapping[str, Any]) -> dict[str, Any]:
    """Gates with a margin that no other test has, so that nobody else looks at the test rows by them."""
    return {"gates": [GATE | {"name": "accuracy", "margin": margin}, *further]}


PERFECT = {"kind": "limit", "name": "perfect", "metric": "accuracy", "at_least": 0.999, "confidence": 0.95}


def install(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(job, "libraries", lambda: {"onnxruntime": version})


def looks(recipe: str, world: Workspace) -> list[TakenLook]:
    read, splits = check_recipe(Path(recipe))
    return list(ledger_of(world.tracking_uri, read, splits["test"]).read().looks)


def compress(recipe: str, world: Workspace, again: bool = False, back: bool = False) -> Any:
    return flows.compress.compress("tiny", "1", recipe, world, again=again, back=back)


def test_what_was_refused_on_its_answers_is_not_asked_again_with_a_new_library(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = variant("too-bad", gates(0.301, PERFECT))
    first = compress(recipe, world)
    assert first.answer == "refused" and first.devices[0].refused_on_answers
    install(monkeypatch, "9.9")
    second = compress(recipe, world)
    assert second.reused and second.devices == first.devices
    by_hand = compress(recipe, world, again=True)
    assert not by_hand.reused and by_hand.answer == "refused"
    (look,) = looks(recipe, world)
    assert [attempt["again"] for attempt in look.attempts] == [False, True]
    assert (look.number, look.outcome) == (1, "fail")
    install(monkeypatch, "9.10")
    assert compress(recipe, world).reused


def test_what_was_published_or_refused_for_its_size_is_asked_again_with_a_new_library(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    published, large = variant("upgraded", gates(0.302)), variant("large", gates(0.303), {"budgets": {"size_kb": 2}})
    assert [compress(recipe, world).answer for recipe in (published, large)] == ["published", "refused"]
    install(monkeypatch, "9.9")
    again = [compress(recipe, world) for recipe in (published, large)]
    assert [outcome.reused for outcome in again] == [False, False]
    assert not again[1].devices[0].refused_on_answers
    assert len(looks(published, world)) == 1  # the same question: no further look


def test_what_a_person_changes_is_asked_again_and_counts_as_a_look(world: Workspace, variant: Variant) -> None:
    first = variant("changed-by-hand", gates(0.304, PERFECT))
    compress(first, world)
    second = variant("changed-by-hand", gates(0.304, PERFECT) | {"critical_weight": 2.0})
    assert not compress(second, world).reused
    assert [look.number for look in looks(second, world)] == [1, 2]


def splits_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that fills with the name of each split whose rows are read."""
    splits = []
    for module in (attempts, ladder):
        measure = module.measure_for

        def spy(context: Any, file: Path, split: Any, measure: Any = measure) -> Any:
            splits.append(split)
            return measure(context, file, split)

        monkeypatch.setattr(module, "measure_for", spy)
    return splits


def test_no_test_row_is_read_while_the_registry_does_not_take_the_look(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, splits = variant("down", gates(0.308)), splits_read(monkeypatch)
    with monkeypatch.context() as down:

        def refuse(*_: object) -> str:
            raise MlflowException("the server went away")

        down.setattr(LookLedger, "_create", refuse)
        ended = compress(recipe, world)
    assert (ended.answer, ended.exit_code) == ("undecided", 3)
    assert "the server went away" in ended.failures[0].sentence
    assert splits and "test" not in splits and looks(recipe, world) == []
    assert compress(recipe, world).answer == "published" and "test" in splits


def test_after_the_last_look_no_test_row_is_read_until_a_person_goes_on(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = {"alpha_spending": {"total": 0.05, "looks": 1}} | gates(0.305)
    assert compress(variant("first-look", spent), world).answer == "published"
    recipe = variant("second-look", spent)
    splits = splits_read(monkeypatch)
    worn = compress(recipe, world)
    assert splits and "test" not in splits
    assert (worn.answer, worn.exit_code, worn.devices[0].withheld) == ("refused", 1, True)
    verdict = Verdict.model_validate_json(
        Runs(world.tracking_uri, "tiny").read_text(worn.devices[0].run_id, "verdict.json")
    )
    assert {gate.outcome for gate in verdict.gates} == {"inconclusive"}
    assert all("new test rows" in str(gate.remedy) for gate in verdict.gates)
    assert verdict.look is not None and (verdict.look.number, verdict.look.taken, verdict.look.allowed) == (None, 1, 1)
    assert (
        "no test row was read. The one look of these gates" in verdict.headline and "new test rows" in verdict.headline
    )
    assert compress(recipe, world).reused  # nothing has changed
    granted = command(world, monkeypatch, "looks", "grant", recipe, "--looks", "1", "--by", "Ada", "--reason", "spring")
    assert (
        "1 of 2 looks are taken; 1 more withheld. A look may pass falsely in 5 % of cases; 5 % of 10 % in all are "
        "spent. Ada granted 1: spring." in granted
    )
    asked = compress(recipe, world)
    assert not asked.reused and asked.answer == "published" and "test" in splits
    shown = command(world, monkeypatch, "looks", "show", recipe)
    assert "first-look" in shown and "second-look" in shown


def command(world: Workspace, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr(flows.commands.decision_commands, "prepare", lambda _: None)
    for name, value in {"HOME": world.home, "TARGET": world.target}.items():
        monkeypatch.setenv(f"EDGEWRIGHT_{name}", str(value))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", world.tracking_uri)
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
    assert done.exception is None or done.exit_code == 0, done.exception
    return " ".join(done.output.split())


def test_a_first_release_needs_a_floor_on_its_critical_slices_or_a_word(world: Workspace, variant: Variant) -> None:
    slice_gate = GATE | {"name": "eights", "margin": 0.9, "slice": EIGHT}
    without = compress(variant("no-floor", gates(0.306, slice_gate)), world)
    assert without.answer == "refused"
    assert any("Floors of critical slices: no limit says what is enough" in why for why in without.devices[0].reasons)
    accepted = variant("no-floor", gates(0.306, slice_gate) | {"first": "accept"})
    assert compress(accepted, world).answer == "published"
    floor = {"kind": "limit", "name": "floor", "metric": "accuracy", "slice": EIGHT, "at_least": 0.01,
             "confidence": 0.95}  # fmt: skip
    assert compress(variant("floor", gates(0.306, slice_gate, floor)), world).answer == "published"


def test_a_class_that_a_metric_names_needs_a_floor_and_is_shown(world: Workspace, variant: Variant) -> None:
    recall = GATE | {"name": "recall of 8", "metric": "recall", "of": 8, "margin": 0.9}
    without = compress(variant("no-floor-of-a-class", gates(0.308, recall)), world).devices[0]
    assert not without.published and "no limit says what is enough where target = 8" in " ".join(without.reasons)
    assert without.critical_slice is not None and without.critical_slice.candidate is not None
    floor = {"kind": "limit", "name": "floor", "metric": "accuracy", "slice": EIGHT, "at_least": 0.01,
             "confidence": 0.95}  # fmt: skip
    held = compress(variant("floor-of-a-class", gates(0.308, recall, floor)), world)
    assert held.answer == "published" and held.devices[0].critical_slice == without.critical_slice


def test_a_gate_against_the_anchor_sees_the_release_that_a_person_chose(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchored = GATE | {"name": "anchored", "against": "anchor", "margin": 0.3}
    device = compress(variant("anchored", gates(0.307, anchored)), world).devices[0]
    assert gate_of(world, device.run_id, "anchored")["outcome"] == "not_applicable"
    again = variant("anchored", gates(0.307, anchored) | {"ladder": [{"kind": "ptq", "calibration": "percentile"}]})
    second = compress(again, world).devices[0]
    gate = gate_of(world, second.run_id, "anchored")
    assert (gate["outcome"], gate["reference_value"]) == ("pass", device.accuracy.candidate)
    assert "release 1 of version 1, the first that passed" in command(
        world, monkeypatch, "anchor", "show", "tiny", "anchored"
    )
    told = command(world, monkeypatch, "anchor", "set", "tiny", "anchored", "2", "--by", "Ada", "--reason", "new rows")
    assert "release 2 of version 1, set by Ada on" in told
    anchor = EdgeModels(world.tracking_uri, "tiny").anchor("anchored")
    assert anchor is not None and (anchor.edge.release, anchor.by) == (2, "Ada")
    anchors = EdgeModels(world.tracking_uri, "tiny")
    anchors.client.delete_registered_model_alias(anchor.edge.name, "anchor")
    with pytest.raises(RegistryError, match=r"got no release under it\. Name the anchor: edgewright anchor set tiny"):
        anchor_of("tiny", "anchored")


def gate_of(world: Workspace, run: str, name: str) -> dict[str, Any]:
    verdict = Verdict.model_validate_json(Runs(world.tracking_uri, "tiny").read_text(run, "verdict.json"))
    return next(gate.model_dump() for gate in verdict.gates if gate.name == name)
