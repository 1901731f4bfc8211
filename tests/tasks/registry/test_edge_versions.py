"""Holds and rollbacks as tags: read as they were written, a hold that cannot be read holds still."""

import pytest

from tasks.registry import Candidate, Hold, Lineage, Rollback, standing_holds
from tasks.registry.edge_versions import HOLD, own_tags, recorded_holds
from tasks.registry.view import DeployedRelease

ADA = Hold("2", 5, "Ada", "2026-11-27", "it fails at night")


def test_a_hold_is_read_as_it_was_written() -> None:
    later = Hold("10", 7, "Ada", "2026-11-28", "so does this").ended()
    tags = {ADA.tag: ADA.record, later.tag: later.record, "edgewright.source_model": "m", f"{HOLD}latest": "{}"}
    assert recorded_holds(tags) == (later, ADA)  # by number, not by text
    assert ADA.sentence == "version 2 is held by Ada since 2026-11-27: it fails at night"


@pytest.mark.parametrize(
    "record", ["", "null", "[]", "{}", '{"release": "first", "by": "a", "when": "b", "reason": "c"}']
)
def test_a_hold_that_cannot_be_read_holds_its_version_still(record: str) -> None:
    (hold,) = recorded_holds({f"{HOLD}2": record})
    assert hold.version == "2" and "cannot be read" in hold.sentence
    assert standing_holds([hold], DeployedRelease(1, "1")) == (hold,)


@pytest.mark.parametrize(("deployed", "counts"), [("1", True), ("2", True), ("3", False), ("10", False)])
def test_a_newer_version_lifts_a_hold(deployed: str, counts: bool) -> None:
    assert bool(standing_holds([ADA], DeployedRelease(6, deployed))) is counts


def test_a_hold_stands_where_nothing_is_deployed() -> None:
    assert standing_holds([ADA], None) == (ADA,)


@pytest.mark.parametrize("left", [5, 4], ids=["it left this version", "an earlier rollback left it"])
def test_what_a_rollback_restored_lifts_no_hold(left: int) -> None:
    rollback = Rollback(left, 2, "Ada", "2026-11-27", "it fails at night")
    assert standing_holds([ADA], DeployedRelease(6, "3", rollback=rollback)) == (ADA,)


def test_a_rollback_is_read_as_it_was_written_and_its_file_takes_no_fate_along() -> None:
    rollback = Rollback(2, 1, "Ada", "2026-11-27 04:00:00 UTC", "it fails at night")
    assert Rollback.of(rollback.tags) == rollback
    assert Rollback.of({}) is None and Rollback.of({"edgewright.rolled_back_from": "two"}) is None
    fate = {"edgewright.release": "1", "edgewright.was_deployed": "true", "edgewright.anchor_by": "Ada"}
    assert own_tags({**rollback.tags, **fate, "edgewright.verdict": "pass"}) == {"edgewright.verdict": "pass"}


def test_each_rollback_claims_its_number_under_a_name_of_its_own() -> None:
    candidate = Candidate(Lineage("1", "m", "r", "d", "k"), "run", "folder", "0" * 64, "1.20.0")
    one, other = (Rollback(2, 1, by, "now", "it fails").holder(candidate) for by in ("Ada", "Grace"))
    assert len({one, other, candidate.holder}) == 3
