"""All services killed at once, in two of the stages that the benchmark of triggers kills them in."""

from pathlib import Path

import pytest

from tests.benchmarks.triggers.kills import killed

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.timeout(3600)]


def test_what_was_killed_with_all_services_ends_as_it_would_have(tmp_path: Path) -> None:
    found = killed(tmp_path, ("prune", "publish"))
    assert [kill.stage for kill in found] == ["prune", "publish"]
    assert all(kill.processes >= 6 for kill in found)  # supervisor, two servers, worker with its run, watcher
    assert [kill.wrong for kill in found] == [(), ()]
    assert [(kill.computed_twice, kill.published_twice) for kill in found] == [(0, 0), (0, 0)]
