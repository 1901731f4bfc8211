"""Rollback on the tiny model: the way back, the hold that nothing passes, and the newer version that lifts it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import flows.cli
import flows.compress
import flows.reconcile
from edge_runtime.bundle import Manifest
from tasks.outcomes import history
from tasks.registry import EdgeModels, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import bundles_in
from tests.end_to_end.tiny import upstream
from tests.flows.conftest import Variant

pytestmark = pytest.mark.timeout(900)  # each test compresses 3 versions or more
runner = CliRunner()


@pytest.fixture
def two(tmp_path: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A registry of this test's own, of which versions 1 and 2 are releases 1 and 2 on the device `field`."""
    workspace = Workspace.at(tmp_path / "home")
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(workspace.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workspace.tracking_uri)
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(workspace.target))
    recipe = variant("field")
    for seed, version in ((0, "1"), (1, "2")):
        upstream.register(workspace.tracking_uri, seed=seed)
        assert flows.compress.compress("tiny", version, recipe, workspace).answer == "published"
    return workspace


def say(*words: str) -> tuple[int, str]:
    said = runner.invoke(flows.cli.app, list(words))
    return said.exit_code, f"{said.output} {said.exception or ''}"


def roll_back(*more: str) -> tuple[int, str]:
    return say("rollback", "tiny", "--device", "field", "--by", "Ada", "--reason", "it fails at night", *more)


def deployed(workspace: Workspace, device: str = "field") -> tuple[str, int]:
    edge = EdgeModels(workspace.tracking_uri, "tiny").deployed(device)
    assert edge is not None
    return edge.source_version, edge.release


def files(workspace: Workspace) -> dict[str, Manifest]:
    """The file of each release with what devices test it with, by its number."""
    manifests = [bundle.manifest for bundle in bundles_in(workspace.target, "tiny", "field")]
    assert all(each.golden is not None for each in manifests)
    return {each.release: replace(each, version="any", lineage={}, documents=(), deltas=()) for each in manifests}


def test_a_rollback_stays_until_a_newer_version_comes(two: Workspace, variant: Variant) -> None:
    recipe = variant("field")
    code, said = roll_back()
    assert code == 0 and "field: release 3 of version 1 is deployed. Version 2 is held by Ada since" in said
    assert deployed(two) == ("1", 3)
    first, second, third = (files(two)[number] for number in "123")
    assert third == first and {blob.name for blob in first.blobs} == {blob.name for blob in second.blobs}
    assert not {blob.sha256 for blob in first.blobs} & {blob.sha256 for blob in second.blobs}

    assert flows.reconcile.reconcile([recipe], two) == []
    changed = variant("field", {"ladder": [{"kind": "ptq", "calibration": "percentile"}]})
    assert flows.reconcile.reconcile([changed], two) == []
    recipe = variant("field")  # as it was
    for again in (False, True):
        refused = flows.compress.compress("tiny", "2", recipe, two, again=again, back=again)
        (failure,) = refused.failures
        assert refused.exit_code == 2 and "lift it with edgewright hold lift tiny --device field" in failure.sentence
    assert flows.compress.compress("tiny", "1", recipe, two, back=True).reused  # it is deployed, by the rollback
    code, said = roll_back()
    assert code != 0 and "expected a release before release 3 that nobody has left or holds, got none" in said
    assert deployed(two) == ("1", 3)

    rows = [row for _, row in history(Runs(two.tracking_uri, "tiny"), EdgeModels(two.tracking_uri, "tiny"), "field")]
    assert [(row.version, row.release, row.now) for row in rows] == [
        ("1", 1, ""), ("2", 2, "previous"), ("1", 3, "deployed"),
    ]  # fmt: skip
    assert rows[1].why.startswith("version 2 is held by Ada since ") and rows[2].figures == rows[0].figures
    assert rows[2].why.startswith("rolled back from release 2 to release 1 by Ada on ")

    upstream.register(two.tracking_uri, seed=2)
    (newer,) = flows.reconcile.reconcile([recipe], two)
    assert (newer.version, newer.answer, deployed(two)) == ("3", "published", ("3", 4))
    assert newer.devices[0].held_against == 3
    assert "no version is held" in say("hold", "show", "tiny", "--device", "field")[1]


def test_a_person_lifts_a_hold_and_the_schedule_publishes_the_newest_again(two: Workspace, variant: Variant) -> None:
    recipe = variant("field")
    code, said = roll_back("--to", "1")
    assert code == 0, said
    assert "Version 2 is held by Ada since" in say("hold", "show", "tiny", "--device", "field")[1]
    code, said = say("hold", "lift", "tiny", "--device", "field", "--by", "Bo", "--reason", "mended")
    assert code == 0 and "field: version 2 may be published again." in said
    (again,) = flows.reconcile.reconcile([recipe], two)
    assert (again.version, again.answer, deployed(two)) == ("2", "published", ("2", 4))
    assert flows.reconcile.reconcile([recipe], two) == []


def test_a_target_that_never_had_the_release_is_refused(
    two: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(tmp_path / "elsewhere"))
    code, said = roll_back()
    assert code and "which never had it; set EDGEWRIGHT_TARGET" in " ".join(said.split())
    assert deployed(two) == ("2", 2) and not EdgeModels(two.tracking_uri, "tiny").holds("field")


def test_other_devices_of_the_recipe_are_served(two: Workspace, variant: Variant) -> None:
    assert roll_back()[0] == 0
    variant("yard")
    both = variant("field", {"devices": ["field", "yard"]})
    (outcome,) = flows.reconcile.reconcile([both], two)
    assert [line.device for line in outcome.devices if line.published] == ["yard"]
    (failure,) = outcome.failures
    assert (failure.device, failure.asked_again) == ("field", False) and "Ada holds since" in failure.sentence
    assert (deployed(two), deployed(two, "yard")) == (("1", 3), ("2", 1))
    assert flows.reconcile.reconcile([both], two) == []


def test_a_hold_that_is_put_while_a_run_is_under_way_is_met_at_its_end(
    two: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge: Any = vars(flows.compress)["judge"]
    fired: list[tuple[int, str]] = []

    def late(*given: Any) -> Any:
        if not fired:  # what it was held against is gone, so it is judged once more
            fired.append(roll_back())
        return judge(*given)

    changed = variant("field", {"ladder": [{"kind": "ptq", "calibration": "percentile"}]})
    with monkeypatch.context() as slow:
        slow.setattr(flows.compress, "judge", late)
        outcome = flows.compress.compress("tiny", "2", changed, two)
    assert [code for code, _ in fired] == [0]
    (failure,) = outcome.failures
    assert failure.asked_again and "expected a version that nobody holds back" in failure.sentence
    assert outcome.answer == "undecided" and deployed(two) == ("1", 3)
    assert flows.reconcile.reconcile([changed], two) == []


def test_a_rollback_from_the_version_that_an_alias_names_stays(two: Workspace, variant: Variant) -> None:
    recipe = variant("field", {"follow": {"alias": "champion"}})
    client = EdgeModels(two.tracking_uri, "tiny").client
    client.set_registered_model_alias("tiny", "champion", "1")
    assert [outcome.version for outcome in flows.reconcile.reconcile([recipe], two)] == ["1"]
    assert deployed(two) == ("1", 3)
    code, said = roll_back()
    assert code == 0, said
    assert deployed(two) == ("2", 4)
    assert "Version 1 is held by Ada since" in say("hold", "show", "tiny", "--device", "field")[1]
    assert flows.reconcile.reconcile([recipe], two) == []
    assert deployed(two) == ("2", 4)
