"""Labels of flow runs that name the process at work."""

import json
from dataclasses import asdict

import pytest

from flows.watch.process_label import LABEL, process_of, say_who_works
from tasks.processes import Process


def test_a_label_names_its_process() -> None:
    this = Process.this()
    assert process_of({LABEL: json.dumps(asdict(this))}) == this


@pytest.mark.parametrize("written", [None, 3, "", "[]", "{}", '{"pid": 1}'])
def test_a_label_of_another_form_names_none(written: object) -> None:
    assert process_of({} if written is None else {LABEL: written}) is None


def test_where_no_server_keeps_runs_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")  # nobody answers: a call would raise
    say_who_works()
