"""Labels of flow runs that name the process at work."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from flows.watch.process_label import LABEL, TIMES, process_of, say_who_works
from tasks.processes import Process


def test_a_label_names_its_process() -> None:
    this = Process.this()
    labels = {LABEL: json.dumps({**asdict(this), TIMES: 2})}
    assert process_of(labels, times=2) == this
    assert process_of(labels, times=3) is None  # the next process has not said so yet


@pytest.mark.parametrize("written", [None, 3, "", "[]", "{}", '{"pid": 1}', '{"times": 1, "pid": 1}'])
def test_a_label_of_another_form_names_none(written: object) -> None:
    assert process_of({} if written is None else {LABEL: written}, times=1) is None


def test_where_no_server_keeps_runs_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")  # nobody answers: a call would raise
    say_who_works(tmp_path)
    assert not list(tmp_path.iterdir())
