"""Stages and other processes: two at once, and one that is killed in the middle."""

import signal
from pathlib import Path

from tasks.store import StageStore, clean_leftovers
from tests.tasks.processes import line, running

CODE = ("tasks.store.stage_store",)
KEY = {"ratio": 0.2}

HALF_WAY = """
    import sys
    from pathlib import Path
    from tasks.store.stage_store import StageStore

    def produce(folder):
        (folder / "half.bin").write_bytes(b"half")
        print(folder, flush=True)
        sys.stdin.readline()
        (folder / "half.bin").write_bytes(b"whole")
        return {"by": sys.argv[2]}

    result = StageStore(Path(sys.argv[1])).run("work", {"ratio": 0.2}, ("tasks.store.stage_store",), produce)
    print(result.value["by"], result.digest, flush=True)
"""


def visible(root: Path) -> list[Path]:
    return [path for path in (root / "work").iterdir() if not path.name.startswith(".")]


def test_a_stage_that_is_killed_leaves_no_result_and_is_computed_again(tmp_path: Path) -> None:
    with running(HALF_WAY, tmp_path, "killed") as process:
        work = Path(line(process))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert (work / "half.bin").read_bytes() == b"half"  # it was hit in the middle
    assert visible(tmp_path) == []

    computed: list[Path] = []
    result = StageStore(tmp_path).run("work", KEY, CODE, computed.append)
    assert len(computed) == 1
    assert not result.reused
    assert visible(tmp_path) == [result.folder]
    assert not (result.folder / "half.bin").exists()

    clean_leftovers(tmp_path)
    assert list((tmp_path / "work").iterdir()) == [result.folder]


def test_the_work_of_a_process_that_runs_is_no_leftover(tmp_path: Path) -> None:
    with running(HALF_WAY, tmp_path, "slow") as process:
        work = Path(line(process))
        clean_leftovers(tmp_path)
        assert (work / "half.bin").exists()
        said, _ = process.communicate("go on\n")
        assert process.returncode == 0
        assert said.startswith("slow ")
    (result,) = visible(tmp_path)
    assert (result / "half.bin").read_bytes() == b"whole"


def test_two_processes_at_once_end_with_one_result(tmp_path: Path) -> None:
    with running(HALF_WAY, tmp_path, "one") as one, running(HALF_WAY, tmp_path, "other") as other:
        assert Path(line(one)) != Path(line(other))  # both are in the middle now
        first, _ = one.communicate("go on\n")
        second, _ = other.communicate("go on\n")
        assert (one.returncode, other.returncode) == (0, 0)
    assert first == second
    assert first.startswith("one ")
    (result,) = visible(tmp_path)
    assert list((tmp_path / "work").iterdir()) == [result]
    stored = StageStore(tmp_path).run("work", KEY, CODE, lambda _: None)
    assert stored.reused
    assert stored.value == {"by": "one"}
