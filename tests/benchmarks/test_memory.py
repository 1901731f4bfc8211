"""The parts of the memory's benchmark: rows that are maps of files, a recipe that loads, and peaks that are seen."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deployments.recipe import read_recipe
from deployments.workload import check_leaks, load_workload, read_splits
from tests.benchmarks.memory import many_digits
from tests.benchmarks.memory.__main__ import write_recipe
from tests.benchmarks.memory.watching import children_of, programs_of, status_of, watch


def test_the_rows_are_maps_that_no_two_splits_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(many_digits.FOLDER, str(tmp_path))
    many_digits.write_rows({"train": 3000, "validation": 600, "test": 600})
    workload = load_workload(read_recipe(write_recipe(tmp_path / "recipes")).workload)
    splits = read_splits(workload)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 3000, "calibration": 512, "validation": 600, "test": 600
    }  # fmt: skip
    assert not [each for each in check_leaks(workload, splits) if each.is_leak]
    assert all(isinstance(split.inputs[0], np.memmap) for split in splits.values())
    assert len(np.unique(splits["train"].inputs[0].reshape(3000, -1), axis=0)) == 3000


def test_memory_that_no_file_backs_is_told_from_the_whole() -> None:
    before = status_of(os.getpid())
    rows = np.ones(64 << 17)  # 64 MiB
    after = status_of(os.getpid())
    assert rows.sum() and after["RssAnon"] - before["RssAnon"] > 60
    assert after["VmHWM"] >= after["VmRSS"] > after["RssAnon"]


def test_processes_that_a_program_has_started_are_found() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in children_of(os.getpid()) and child.pid in programs_of(os.getpid())
        child.communicate(b"\n")
    assert child.pid not in children_of(os.getpid()) and status_of(child.pid) == {}


def test_a_program_is_watched_to_its_end(tmp_path: Path) -> None:
    seen = watch([sys.executable, "-c", "print('done')"], dict(os.environ), tmp_path / "log.txt")
    assert (tmp_path / "log.txt").read_text() == "done\n" and seen.seconds > 0


def test_a_program_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        watch([sys.executable, "-c", "import sys; sys.exit('no rows')"], dict(os.environ), tmp_path / "log.txt")
    assert "no rows" in error.value.output
