"""Files that killed writers of claims leave in the folder."""

from pathlib import Path

import pytest

from tasks.delivery import FolderDestination
from tests.tasks.processes import line, running

WRITER = """
    import os
    import sys
    from pathlib import Path
    from tasks.delivery import FolderDestination

    def told(*_):
        print("written", flush=True)
        sys.stdin.readline()

    os.link, destination = told, FolderDestination(Path(sys.argv[1]))
    if sys.argv[2] == "claim":
        destination.claim("m", "bench", 1, "ada")
    destination.settle("m", "bench", 1, "released", {})
"""


@pytest.mark.parametrize("step", ["claim", "settle"])
def test_what_a_killed_writer_left_is_removed_at_once_and_that_of_a_living_one_is_not(
    tmp_path: Path, step: str
) -> None:
    destination = FolderDestination(tmp_path)
    with running(WRITER, str(tmp_path), step) as process:
        assert line(process) == "written"
        destination.sweep("m", "bench")
        assert len(list(tmp_path.rglob(".tmp-*"))) == 1
        process.kill()
        process.wait()
    destination.sweep("m", "bench")
    assert not list(tmp_path.rglob(".tmp-*"))


def test_what_a_writer_left_that_was_killed_while_it_wrote_stays_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = FolderDestination(tmp_path)
    destination.claim("m", "bench", 1, "ada")
    half = tmp_path / ".claims" / "m" / "bench" / ".tmp-2.json-ab"
    half.write_text('{"holder": "a')
    destination.sweep("m", "bench")
    assert half.exists()
    monkeypatch.setattr("tasks.repository.objects.LEFT_FOR_S", -1.0)
    destination.sweep("m", "bench")
    assert not half.exists()
