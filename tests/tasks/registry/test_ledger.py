"""The ledger of looks: written before the rows are read, one look for each key, a number for each look."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from mlflow.exceptions import MlflowException

from tasks.errors import RegistryUnavailable
from tasks.registry import Grant, LookLedger, TakenLook
from tasks.registry import ledger as module

SAID = {"model": "m", "version": "1", "device": "bench", "recipe": "tiny"}
FIRST: Mapping[str, object] = {"when": "2026-11-26 10:00:00", "again": False}
AGAIN = {**FIRST, "again": True}


@pytest.fixture
def ledger(tracking_uri: str, request: pytest.FixtureRequest) -> LookLedger:
    return LookLedger(tracking_uri, str(request.node.name), "gates")


def numbers(ledger: LookLedger) -> dict[str, int | None]:
    return {look.key: look.number for look in ledger.looks()}


def test_looks_are_numbered_and_say_what_was_decided(ledger: LookLedger) -> None:
    assert (ledger.looks(), ledger.in_all()) == ([], 0)
    first, second = ledger.take("a", SAID, FIRST), ledger.take("b", SAID | {"version": "2"}, FIRST)
    assert [first.number, second.number] == [1, 2]
    ledger.close(first, "pass")
    told = ledger.looks()
    assert [(look.outcome, look.said["version"]) for look in told] == [("pass", "1"), ("not decided yet", "2")]
    assert all(run.info.status == "FINISHED" for run in ledger._mine())  # nobody works on a record


def test_one_key_is_one_look_however_often_it_is_repeated(ledger: LookLedger) -> None:
    ledger.take("a", SAID, FIRST)
    ledger.take("b", SAID, FIRST)
    again = ledger.take("a", SAID, AGAIN)
    assert again.number == 1
    assert [attempt["again"] for attempt in again.attempts] == [False, True]
    assert numbers(ledger) == {"a": 1, "b": 2}


def test_a_look_is_in_the_ledger_before_it_has_a_number(ledger: LookLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between the two leaves a record that counts, and that the next attempt finds and closes."""

    class Killed(BaseException):
        pass

    def killed(*_: object) -> TakenLook:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(LookLedger, "_numbered", killed)
        ledger.take("a", SAID, FIRST)
    assert numbers(ledger) == {"a": None}
    ledger.client.update_run(ledger.looks()[0].run, status="RUNNING")
    assert ledger.take("b", SAID, FIRST).number == 2
    assert ledger.take("a", SAID, FIRST).number == 1
    assert all(run.info.status == "FINISHED" for run in ledger._mine())


def test_gates_and_splits_have_looks_of_their_own(ledger: LookLedger) -> None:
    ledger.take("a", SAID, FIRST)
    others = LookLedger(ledger.tracking_uri, ledger.split, "other gates")
    assert others.take("a", SAID, FIRST).number == 1
    assert (ledger.in_all(), others.in_all()) == (2, 2)
    assert LookLedger(ledger.tracking_uri, "another split", "gates").looks() == []


def test_grants_are_kept_with_their_names(ledger: LookLedger) -> None:
    ledger.grant(Grant(5, "Ada", "no new rows before spring"))
    ledger.take("a", SAID, FIRST)
    assert ledger.grants() == [Grant(5, "Ada", "no new rows before spring")]
    assert numbers(ledger) == {"a": 1}


def test_a_number_that_another_has_by_now_is_given_up(ledger: LookLedger) -> None:
    """Two writers with different clocks: the later one, whose clock is behind, does not count as the first."""
    early = ledger.take("early", SAID, FIRST)
    ledger.client.set_tag(ledger._create("late", {module.LOOK: "late"}), module.NUMBER, "1")
    assert ledger.take("late", SAID, FIRST).number == 2
    assert early.number == numbers(ledger)["early"] == 1


def test_looks_that_are_taken_at_the_same_time_get_different_numbers(ledger: LookLedger) -> None:
    keys, together = [f"key {number}" for number in range(5)], Barrier(5)

    def take(key: str) -> TakenLook:
        together.wait()
        return LookLedger(ledger.tracking_uri, ledger.split, ledger.gates).take(key, SAID, FIRST)

    with ThreadPoolExecutor(len(keys)) as writers:
        taken = list(writers.map(take, keys))
    found = [look.number for look in taken]
    assert len(set(found)) == len(keys) and None not in found
    assert {look.key: look.number for look in taken} == numbers(ledger)


def test_without_a_record_there_is_no_look(ledger: LookLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise MlflowException("the server went away")

    monkeypatch.setattr(ledger.client, "create_run", down)
    with pytest.raises(RegistryUnavailable, match="the server went away"):
        ledger.take("a", SAID, FIRST)
    assert ledger.looks() == []
