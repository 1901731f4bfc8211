"""Labels of flow runs that name the process at work."""

import json
from dataclasses import asdict
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from flows.watch import process_label
from flows.watch.process_label import LABEL, TIMES, process_of, say_who_works
from tasks.patience import deployment_name
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


def test_a_server_that_restarts_as_a_run_begins_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, asked, pauses = uuid4(), list[UUID](), list[float]()

    def away_at_first(of: UUID) -> None:
        asked.append(of)
        if len(asked) < 3:
            raise httpx.ConnectError("All connection attempts failed")

    monkeypatch.setattr(process_label, "_write_label", away_at_first)
    monkeypatch.setattr("tasks.patience.sleep", pauses.append)
    monkeypatch.setattr("prefect.runtime.flow_run.id", str(run), raising=False)
    monkeypatch.setattr("prefect.runtime.deployment.name", "nightly", raising=False)
    say_who_works(tmp_path)
    assert (asked, pauses) == ([run] * 3, [1, 2])
    monkeypatch.setattr("prefect.runtime.deployment.name", "not asked for again", raising=False)
    assert deployment_name() == "nightly"
