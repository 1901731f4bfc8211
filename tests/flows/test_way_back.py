"""The way back: an older version replaces a newer one only where a person says so, and then it stays."""

from pathlib import Path

import pytest

import flows.compress
import flows.reconcile
from tasks.registry import EdgeModels, Runs, TakenLook
from tasks.selection import ledger_of
from tasks.upstream import check_recipe
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.flows.conftest import Variant
from tests.tasks.registry.versions import answered_versions


@pytest.fixture
def two(tmp_path: Path) -> Workspace:
    """A registry of this test's own with versions 1 and 2."""
    workspace = Workspace.at(tmp_path / "home")
    for seed in (0, 1):
        upstream.register(workspace.tracking_uri, seed=seed)
    return workspace


def looks(recipe: str, workspace: Workspace) -> list[TakenLook]:
    read, splits = check_recipe(Path(recipe))
    return list(ledger_of(workspace.tracking_uri, read, splits["test"]).read().looks)


def deployed(workspace: Workspace) -> tuple[str, int]:
    edge = EdgeModels(workspace.tracking_uri, "tiny").deployed("back")
    assert edge is not None
    return edge.source_version, edge.release


def test_a_way_back_is_said_before_any_work_and_stays_until_a_newer_version(two: Workspace, variant: Variant) -> None:
    recipe = variant("back")
    assert flows.compress.compress("tiny", "2", recipe, two).answer == "published"

    refused = flows.compress.compress("tiny", "1", recipe, two)
    (failure,) = refused.failures
    assert refused.exit_code == 2
    assert "got 2 deployed; say edgewright compress tiny 1 --recipe RECIPE --back" in failure.sentence
    assert answered_versions(Runs(two.tracking_uri, "tiny")) == {2}  # it is true of today, and no answer

    back = flows.compress.compress("tiny", "1", recipe, two, back=True)
    assert (back.answer, back.reused, deployed(two)) == ("published", False, ("1", 2))
    by_hand = [[attempt["again"] for attempt in look.attempts] for look in looks(recipe, two)]
    assert by_hand == [[False], [True]]
    assert flows.compress.compress("tiny", "1", recipe, two).reused
    assert flows.compress.compress("tiny", "1", recipe, two, back=True).reused

    changed = variant("back", {"ladder": [{"kind": "ptq", "calibration": "percentile"}]})
    assert flows.reconcile.reconcile([changed], two) == []
    assert deployed(two) == ("1", 2)

    upstream.register(two.tracking_uri, seed=2)
    (newer,) = flows.reconcile.reconcile([changed], two)
    assert (newer.version, newer.answer, deployed(two)) == ("3", "published", ("3", 3))


def test_a_way_back_is_no_second_chance_for_what_was_refused(two: Workspace, variant: Variant) -> None:
    perfect = {"kind": "limit", "name": "perfect", "metric": "accuracy", "at_least": 0.999, "confidence": 0.95}
    recipe = variant("back", {"gates": [perfect]})
    refused = flows.compress.compress("tiny", "1", recipe, two)
    assert refused.answer == "refused"
    assert flows.compress.compress("tiny", "1", recipe, two, back=True).reused
    (look,) = looks(recipe, two)
    assert len(look.attempts) == 1


def test_a_person_may_ask_for_what_was_taken_back(two: Workspace, variant: Variant) -> None:
    recipe = variant("back")
    flows.compress.compress("tiny", "2", recipe, two)
    flows.compress.compress("tiny", "1", recipe, two, back=True)
    assert flows.reconcile.reconcile([recipe], two) == []
    forth = flows.compress.compress("tiny", "2", recipe, two, again=True)
    assert (forth.answer, deployed(two)) == ("published", ("2", 3))
