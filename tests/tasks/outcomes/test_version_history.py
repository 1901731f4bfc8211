"""The history's lines: releases by their numbers, and the line for the version that is being decided."""

from types import SimpleNamespace
from typing import Any

import pytest

from quality_gates.report import HistoryRow
from tasks.outcomes import history, until_now
from tasks.registry import Answers, Runs
from tests.tasks.outcomes.recorded import NEW


def row(version: str, now: str = "", published: bool = True, release: int | None = None) -> HistoryRow:
    return HistoryRow.model_validate(
        {"version": version, "when": "then", "published": published, "now": now, "release": release}
    )


PAST = [row("1"), row("2", "previous", release=2), row("3", published=False), row("4", "deployed", release=3)]


def test_a_published_version_takes_the_deployed_ones_place() -> None:
    rows = until_now(PAST, row("5", "deployed"))
    assert [(line.version, line.now) for line in rows] == [
        ("1", ""), ("2", ""), ("3", ""), ("4", "previous"), ("5", "deployed"),
    ]  # fmt: skip


def test_a_refused_version_changes_nothing() -> None:
    assert until_now(PAST, row("5", published=False)) == (*PAST, row("5", published=False))


def test_a_version_that_is_decided_again_while_it_is_deployed_takes_no_place() -> None:
    past = PAST[:3]  # the fourth one's answer was lost, and the aliases name it already
    assert until_now(past, row("4", "deployed")) == (*past, row("4", "deployed"))


def test_what_is_published_again_as_the_same_release_leaves_the_previous_one() -> None:
    rows = until_now(PAST, row("4", "deployed", release=3))
    assert [(line.version, line.now) for line in rows] == [
        ("1", ""), ("2", "previous"), ("3", ""), ("4", ""), ("4", "deployed"),
    ]  # fmt: skip


def answered(runs: Runs, *answers: tuple[str, int | None]) -> None:
    """Record answers of a device one after the other, each a version and its release; all of a version have one key."""
    for version, release in answers:
        published = release is not None
        parent = runs.parent(version, f"key {version}", "m", {})
        run = runs.device(parent, version, "bench", f"device {version}")
        own = {"version": version, "run_id": run, "version_run_id": parent}
        outcome = NEW | own | {"published": published, "release": release}
        Answers(runs).record(run, "published" if published else "refused", outcome)


def told(runs: Runs, deployed: int, previous: int) -> list[tuple[str, int | None, str]]:
    models: Any = SimpleNamespace(
        deployed=lambda _: SimpleNamespace(release=deployed, source_version="1", rollback=None),
        previous=lambda _: SimpleNamespace(release=previous),
        holds=lambda _: (),
        releases=lambda _: [],
    )
    return [(line.version, line.release, line.now) for _, line in history(runs, models)]


@pytest.fixture
def runs(tracking_uri: str, request: pytest.FixtureRequest) -> Runs:
    return Runs(tracking_uri, str(request.node.name))


def test_an_older_version_that_was_released_again_is_deployed_once(runs: Runs) -> None:
    answered(runs, ("1", 1), ("2", 2), ("1", 3))
    assert told(runs, deployed=3, previous=2) == [("1", 1, ""), ("2", 2, "previous"), ("1", 3, "deployed")]


def test_a_refused_later_attempt_of_a_version_is_not_the_previous_release(runs: Runs) -> None:
    answered(runs, ("1", 1), ("2", 2), ("1", None))
    assert told(runs, deployed=2, previous=1) == [("1", 1, "previous"), ("2", 2, "deployed"), ("1", None, "")]


def test_a_release_whose_bundle_was_lost_is_deployed_where_it_was_published_last(runs: Runs) -> None:
    answered(runs, ("1", 1), ("2", 2), ("2", 2))
    assert told(runs, deployed=2, previous=1) == [("1", 1, "previous"), ("2", 2, ""), ("2", 2, "deployed")]
