"""The history's line for the version that is being decided."""

from quality_gates.report import HistoryRow
from tasks.reporting import until_now


def row(version: str, now: str = "", published: bool = True) -> HistoryRow:
    return HistoryRow.model_validate({"version": version, "when": "then", "published": published, "now": now})


PAST = [row("1"), row("2", "previous"), row("3", published=False), row("4", "deployed")]


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
