"""The ledger of looks: written before the rows are read, one look for each key, a number where rows may be read."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Barrier
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from deployments.leaks import RowSketch
from tasks.errors import RegistryError, RegistryUnavailable
from tasks.registry import Grant, LookLedger, Spending, TakenLook
from tasks.registry.looks import ledger_records as records

SAID = {"model": "m", "version": "1", "device": "bench", "recipe": "tiny"}
FIRST: Mapping[str, object] = {"when": "2026-11-26 10:00:00", "again": False}
AGAIN = {**FIRST, "again": True}
FREE = Spending(0.05)
TWO = Spending(0.025, 0.05)


def ledger_at(uri: str, rows: RowSketch, gates: str, spending: Spending = FREE) -> LookLedger:
    return LookLedger(uri, rows, gates, spending)


def rows(digest: str, first: int = 0, count: int = 100) -> RowSketch:
    """The sketch of rows `first` to `first + count` of one table."""
    return RowSketch(digest, tuple(f"{number:012x}" for number in range(first, first + count)))


@pytest.fixture
def ledger(tracking_uri: str, request: pytest.FixtureRequest) -> LookLedger:
    return ledger_at(tracking_uri, rows("a split"), sha256(request.node.name.encode()).hexdigest())


@pytest.fixture
def spending(ledger: LookLedger) -> LookLedger:
    return ledger_at(ledger.tracking_uri, ledger.rows, ledger.gates, TWO)


def taken(ledger: LookLedger, key: str, attempt: Mapping[str, Any] = FIRST) -> TakenLook:
    return ledger.take(key, SAID, attempt)[0]


def numbers(ledger: LookLedger) -> dict[str, int | None]:
    return {look.key: look.number for look in ledger.read().looks}


def name(ledger: LookLedger, look: TakenLook) -> str:
    return str(ledger.client.get_run(look.run).info.run_name)


def test_looks_are_numbered_and_say_what_was_decided(ledger: LookLedger) -> None:
    assert (ledger.read().looks, ledger.by_other_gates()) == ((), 0)
    first = taken(ledger, "a")
    second = ledger.take("b", SAID | {"version": "2"}, FIRST)[0]
    assert [first.number, second.number] == [1, 2]
    ledger.close(first, "pass")
    told = ledger.read().looks
    assert [(look.outcome, look.said["version"]) for look in told] == [("pass", "1"), ("not decided yet", "2")]
    assert [name(ledger, look) for look in told] == ["m v1 bench: look 1, pass", "m v2 bench: look 2, not decided yet"]
    assert {ledger.client.get_run(look.run).info.status for look in told} == {"FINISHED"}  # nobody works on a record


def test_one_key_is_one_look_however_often_it_is_repeated(ledger: LookLedger) -> None:
    taken(ledger, "a")
    taken(ledger, "b")
    again = taken(ledger, "a", AGAIN)
    assert again.number == 1
    assert [attempt["again"] for attempt in again.attempts] == [False, True]
    assert numbers(ledger) == {"a": 1, "b": 2}


def test_a_withheld_look_is_recorded_and_takes_no_number(spending: LookLedger) -> None:
    for key in "abcd":
        taken(spending, key)
    assert numbers(spending) == {"a": 1, "b": 2, "c": None, "d": None}
    withheld = spending.read().looks[3]
    spending.close(withheld, "inconclusive")
    assert name(spending, withheld) == "m v1 bench: no look, withheld, no row was read"
    spending.grant(Grant(1, TWO.level, "Ada", "to decide d"))
    assert taken(spending, "d").number == 3
    assert taken(spending, "c").number is None
    assert [len(look.attempts) for look in spending.read().looks] == [1, 1, 2, 2]


@pytest.mark.parametrize("step", ["_settle", "_tell"])
def test_a_look_that_a_kill_interrupts_is_the_same_look_later(
    ledger: LookLedger, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(LookLedger, step, killed)
        taken(ledger, "a")
    ledger.client.update_run(ledger.read().looks[0].run, status="RUNNING")
    kept = numbers(ledger)["a"]
    assert kept == (1 if step == "_tell" else None)
    assert taken(ledger, "b").number == (2 if kept else 1)
    assert taken(ledger, "a").number == (kept or 2)
    assert {ledger.client.get_run(look.run).info.status for look in ledger.read().looks} == {"FINISHED"}


def test_a_claim_whose_writer_was_killed_holds_its_place(spending: LookLedger) -> None:
    taken(spending, "a")
    spending._create("killed", records.tags_of_look("b", TWO, SAID) | {records.CLAIM: "2"})
    assert taken(spending, "c").number is None
    assert taken(spending, "b").number == 2


def test_gates_and_splits_have_looks_of_their_own(ledger: LookLedger) -> None:
    taken(ledger, "a")
    others = ledger_at(ledger.tracking_uri, ledger.rows, f"{ledger.gates} too")
    before = others.by_other_gates()
    assert taken(others, "a").number == 1
    assert (ledger.by_other_gates(), others.by_other_gates()) == (before, before)
    assert ledger_at(ledger.tracking_uri, rows("another split", 100), ledger.gates).read().looks == ()


def test_looks_at_largely_the_same_rows_count_and_those_at_a_few_of_them_are_known(spending: LookLedger) -> None:
    for key in "ab":
        taken(spending, key)
    trimmed = ledger_at(spending.tracking_uri, rows("one row less", 1, 99), spending.gates, TWO)
    assert taken(trimmed, "a").number is None
    spending.grant(Grant(1, TWO.level, "Ada", "spring"))
    assert taken(trimmed, "a").number == 3  # the grant is for these rows, and so it is the last look
    assert taken(spending, "c").number is None
    renewed = ledger_at(spending.tracking_uri, rows("mostly new", 70), spending.gates, TWO)
    assert taken(renewed, "a").number == 1
    assert renewed.read().near(0.05) == pytest.approx(0.3)
    assert numbers(ledger_at(spending.tracking_uri, rows("all new", 300), spending.gates, TWO)) == {}


def test_grants_are_kept_with_their_names(spending: LookLedger) -> None:
    spending.grant(Grant(5, TWO.level, "Ada", "no new rows before spring"))
    taken(spending, "a")
    assert spending.read().grants == (Grant(5, TWO.level, "Ada", "no new rows before spring"),)
    assert numbers(spending) == {"a": 1}


def test_a_number_that_another_has_by_now_is_given_up(ledger: LookLedger) -> None:
    taken(ledger, "early")
    ledger._create("late", records.tags_of_look("late", FREE, SAID) | {records.CLAIM: "1"})
    assert taken(ledger, "late").number == 2
    assert numbers(ledger)["early"] == 1


@pytest.mark.parametrize(("spent", "expected"), [(FREE, [1, 2, 3, 4, 5]), (TWO, [1, 2])])
def test_looks_that_are_taken_at_the_same_time_get_different_numbers_and_never_one_too_many(
    ledger: LookLedger, spent: Spending, expected: list[int]
) -> None:
    keys, together = [f"key {number}" for number in range(5)], Barrier(5)

    def take(key: str) -> int | None:
        together.wait()
        return taken(ledger_at(ledger.tracking_uri, ledger.rows, ledger.gates, spent), key).number

    with ThreadPoolExecutor(len(keys)) as writers:
        found = list(writers.map(take, keys))
    assert sorted(number for number in found if number is not None) == expected
    assert dict(zip(keys, found, strict=True)) == numbers(ledger)


def test_without_a_record_there_is_no_look(ledger: LookLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise MlflowException("the server went away")

    monkeypatch.setattr(ledger.client, "create_run", down)
    with pytest.raises(RegistryUnavailable, match="the server went away"):
        taken(ledger, "a")
    assert ledger.read().looks == ()


@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [
        (records.NUMBER, "two", "tag `edgewright.look_number`: expected a number from 1, got 'two'; correct the tag"),
        (records.NUMBER, "0", "expected a number from 1, got '0'"),
        (records.LEVEL, "much", "expected a share of false passes, got 'much'"),
        (records.LEVEL, "nan", "expected a share of false passes, got 'nan'"),
        (records.LEVEL, None, "tag `edgewright.level`: expected a share of false passes, got none"),
        (records.TOTAL, "all", "expected a share of false passes or none, got 'all'"),
        (records.SKETCH, "zz", "expected the sketch of its rows, got 'zz'"),
        (records.SPLIT, None, "expected the digest of a test split, got none"),
        (records.LOOK, None, "expected the key of a look, got none"),
    ],
)
def test_a_look_that_was_damaged_by_hand_is_named_and_no_row_is_read(
    ledger: LookLedger, tag: str, value: str | None, says: str
) -> None:
    damaged = taken(ledger, "a")
    if value is None:
        ledger.client.delete_tag(damaged.run, tag)
    else:
        ledger.client.set_tag(damaged.run, tag, value)
    with pytest.raises(RegistryError) as caught:
        taken(ledger, "b")
    assert str(caught.value).startswith(f"run {damaged.run} of experiment edgewright.ledger: ")
    assert says in str(caught.value) and "delete the run" in str(caught.value)


@pytest.mark.parametrize(
    ("tag", "value"),
    [(records.GRANTED, "many"), (records.GRANTED, "-5"), (records.GRANTED, "0"), (records.GRANTED_BY, " "),
     (records.LEVEL, "-1")],
)  # fmt: skip
def test_a_grant_that_was_damaged_by_hand_is_named(ledger: LookLedger, tag: str, value: str) -> None:
    ledger.grant(Grant(5, 0.05, "Ada", "spring"))
    (run,) = ledger._search({records.GATES: ledger.gates})
    ledger.client.set_tag(run.info.run_id, tag, value)
    with pytest.raises(RegistryError, match=f"run {run.info.run_id} .*expected .*, got '{value}'; correct the tag"):
        ledger.read()


@pytest.mark.parametrize(
    ("tag", "text"),
    [(f"{records.ATTEMPT}1", "yesterday"), (f"{records.ATTEMPT}.x", "{}"), (f"{records.ATTEMPT}2", "[1]")],
)
def test_a_damaged_attempt_is_passed_over_with_a_warning(
    ledger: LookLedger, warned: list[str], tag: str, text: str
) -> None:
    damaged = taken(ledger, "a")
    ledger.client.set_tag(damaged.run, tag, text)
    (look,) = ledger.read().looks
    assert look.attempts == (() if tag.endswith(".1") else (FIRST,))
    assert damaged.run in warned[0] and tag in warned[0] and "passed over" in warned[0]
    assert len(taken(ledger, "a", AGAIN).attempts) == len(look.attempts) + 1


def test_a_run_that_somebody_else_put_there_is_no_look(ledger: LookLedger) -> None:
    ledger.client.create_run(ledger.experiment, tags={records.GATES: ledger.gates})
    assert taken(ledger, "a").number == 1
