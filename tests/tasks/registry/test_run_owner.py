"""Runs of processes that have ended: told from runs of living ones, closed, and taken up again."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run

from tasks.errors import RegistryUnavailable
from tasks.processes import Process
from tasks.registry import Runs, close_runs_of
from tasks.registry.run_owner import FOREIGN_DAYS, OWNER, owner_of, owner_tag, why_left
from tests.tasks.processes import line, running

OPENER = """
    import sys
    from tasks.registry import Runs, close_runs_of

    runs = Runs(sys.argv[1], sys.argv[2])
    parent = runs.parent("1", "key", "m v1", {})
    print(parent, runs.child(parent, "gateway"), flush=True)
    sys.stdin.readline()
"""
WEEK_S = FOREIGN_DAYS * 86400
NOW_MS = int(time.time() * 1000)


@pytest.fixture
def runs(tracking_uri: str, request: pytest.FixtureRequest) -> Runs:
    return Runs(tracking_uri, str(request.node.name).partition("[")[0])


def read(runs: Runs, run: str) -> Run:
    return runs.client.get_run(run)


def test_runs_of_a_killed_process_are_closed_and_those_of_a_living_one_are_not(runs: Runs) -> None:
    own = runs.parent("2", "key", "m v2", {})
    with running(OPENER, runs.client.tracking_uri, runs.model) as process:
        parent, child = line(process).split()
        assert runs.close_dead() == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert set(runs.close_dead()) == {parent, child}
    for run in (parent, child):
        assert read(runs, run).info.status == "KILLED"
        assert read(runs, run).info.end_time is not None
        tag = read(runs, run).data.tags["edgewright.closed_because"]
        assert tag == f"process {process.pid} of this machine ended without closing it"
    assert read(runs, own).info.status == "RUNNING"
    assert runs.close_dead() == []


@pytest.mark.parametrize(
    ("answer", "status"), [("published", "FINISHED"), ("refused", "FINISHED"), ("error", "FAILED")]
)
def test_a_run_that_was_answered_before_the_kill_ends_as_its_answer_says(runs: Runs, answer: str, status: str) -> None:
    with running(OPENER, runs.client.tracking_uri, runs.model) as process:
        parent, _ = line(process).split()
    runs.log(parent, tags={"edgewright.answer": answer})
    assert parent in runs.close_dead()
    assert read(runs, parent).info.status == status
    assert "edgewright.closed_because" not in read(runs, parent).data.tags


def test_a_closed_run_is_taken_up_again_by_another_process(runs: Runs) -> None:
    with running(OPENER, runs.client.tracking_uri, runs.model) as process:
        parent, child = line(process).split()
    assert set(runs.close_dead()) == {parent, child}
    assert runs.parent("1", "key", "m v1", {}) == parent
    assert runs.child(parent, "gateway") == child
    for run in (parent, child):
        assert read(runs, run).info.status == "RUNNING"
        assert "edgewright.closed_because" not in read(runs, run).data.tags
        assert owner_of(read(runs, run).data.tags) == Process.this()


def test_runs_of_a_process_elsewhere_are_closed_once_it_is_known_to_be_dead(runs: Runs) -> None:
    elsewhere = replace(Process.this(), machine="elsewhere 1", pid=7)
    left, taken_up = (runs.parent(version, "key", f"m v{version}", {}) for version in "12")
    runs.log(left, tags={OWNER: owner_tag(elsewhere)})
    assert runs.close_dead() == []
    assert close_runs_of(runs.client.tracking_uri, {elsewhere}) == [left]
    assert (
        read(runs, left).data.tags["edgewright.closed_because"]
        == "process 7 on elsewhere gave no sign of life any more"
    )
    assert read(runs, taken_up).info.status == "RUNNING"
    assert close_runs_of(runs.client.tracking_uri, {elsewhere}) == []


def test_a_registry_that_does_not_answer_is_said(runs: Runs, monkeypatch: pytest.MonkeyPatch, unreachable: str) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr(runs, "client", MlflowClient(unreachable))
    with pytest.raises(RegistryUnavailable, match=f"MLflow at {unreachable}: expected an answer"):
        runs.close_dead()


def tags(since: float | None = None, **changes: Any) -> dict[str, str]:
    owner = replace(Process.this(), **changes)
    return {OWNER: json.dumps(json.loads(owner_tag(owner)) | ({} if since is None else {"since": since}))}


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, False),
        ({"started": 1}, True),  # another process has its number now
        ({"pid": 2**22 + 1}, True),  # more than any process has
        ({"boot": "before the restart"}, True),
        ({"namespace": "pid:[1]", "pid": 2**22 + 1}, False),  # another container of this machine
        ({"machine": "elsewhere", "boot": "another", "pid": 2**22 + 1}, False),
    ],
)
def test_only_a_process_that_is_seen_to_have_ended_has_left_its_run(changes: dict[str, Any], left: bool) -> None:
    assert (why_left(tags(**changes), NOW_MS) is not None) == left


@pytest.mark.parametrize("changes", [{"machine": "elsewhere"}, {"namespace": "pid:[1]"}])
def test_a_process_elsewhere_has_a_week(changes: dict[str, Any]) -> None:
    assert why_left(tags(time.time() - WEEK_S + 60, **changes), 0) is None
    assert "nothing is known of the process" in str(why_left(tags(time.time() - WEEK_S - 60, **changes), NOW_MS))


def test_this_process_may_take_longer_than_a_week() -> None:
    assert why_left(tags(time.time() - 2 * WEEK_S), 0) is None


@pytest.mark.parametrize("written", [None, "", "{}", "[]", "null", json.dumps({"pid": 1})])
def test_a_run_that_does_not_tell_its_process_has_a_week_from_its_start(written: str | None) -> None:
    found = {} if written is None else {OWNER: written}
    assert why_left(found, NOW_MS) is None
    assert why_left(found, NOW_MS - (WEEK_S + 60) * 1000) is not None


def test_a_process_that_ended_but_was_not_waited_for_has_ended() -> None:
    with running("print('here', flush=True); input()") as process:
        assert line(process) == "here"
        started = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        found = tags(pid=process.pid, started=int(started))
        assert why_left(found, NOW_MS) is None
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert why_left(found, NOW_MS) is not None
