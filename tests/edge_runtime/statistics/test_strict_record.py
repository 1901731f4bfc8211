"""Strict reading of JSON: each wrong value is named, and nothing large is quoted."""

from collections.abc import Callable
from typing import Any

import pytest

from edge_runtime.errors import ReportError
from edge_runtime.statistics import StrictRecord, strict_json


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"\xff", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}',
        b"[" * 60_000, b'{"a":' * 10_000, b"1" * 5_000,
    ],
    ids=["empty", "cut", "no text", "nan", "infinite", "twice", "twice below", "deep", "deep object", "long number"],
)  # fmt: skip
def test_what_is_no_plain_json_is_refused(data: bytes) -> None:
    with pytest.raises(ReportError, match="the box must be JSON"):
        strict_json(data, "the box")


def _record(value: object) -> StrictRecord:
    return StrictRecord({"a": value}, "report", ("a",))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (True, lambda record: record.whole("a")),
        (-1, lambda record: record.whole("a")),
        (1.0, lambda record: record.whole("a")),
        (10**400, lambda record: record.whole("a")),
        (10**400, lambda record: record.number("a")),
        (float("inf"), lambda record: record.number("a")),
        (True, lambda record: record.number("a")),
        ("1", lambda record: record.number("a")),
        ("", lambda record: record.text("a", 3)),
        ("abcd", lambda record: record.text("a", 3)),
        ("a\nb", lambda record: record.text("a", 3)),
        ("\ud800", lambda record: record.text("a", 3)),
        ("a\u202eb", lambda record: record.text("a", 3)),
        ("../x", lambda record: record.component("a")),
        ("A" * 64, lambda record: record.sha256("a")),
        ("a" * 64 + "\n", lambda record: record.sha256("a")),
        ("", lambda record: record.sha256("a")),
        ("2026-02-30T00:00:00Z", lambda record: record.time("a")),
        ("2026-02-03T00:00:00+01:00", lambda record: record.time("a")),
        ("x", lambda record: record.choice("a", ("y",))),
        (["y"], lambda record: record.choice("a", ("y",))),
        ([1, 2], lambda record: record.wholes("a", 1)),
        ([1.5], lambda record: record.wholes("a", 1)),
        ([True], lambda record: record.numbers("a", 1)),
        ("ab", lambda record: record.items("a", 5)),
    ],
)
def test_a_wrong_value_is_named(value: object, read: Callable[[StrictRecord], Any]) -> None:
    with pytest.raises(ReportError, match=r"^report\.a(\[0\])? must be ") as raised:
        read(_record(value))
    assert len(str(raised.value)) < 300


def test_right_values_are_returned() -> None:
    assert _record(0).whole("a") == 0
    assert _record(2).number("a") == 2.0 and type(_record(2).number("a")) is float
    assert _record("").text("a", 3, may_be_empty=True) == ""
    assert _record("").sha256("a", may_be_empty=True) == ""
    assert _record("1970-01-01T00:00:09Z").time("a") == "1970-01-01T00:00:09Z"


@pytest.mark.parametrize("value", [None, [], "a", {}, {"a": 1, "b": 2}, {"b": 1}])
def test_an_object_has_exactly_its_keys(value: object) -> None:
    with pytest.raises(ReportError, match=r"^report must (be an object with|have exactly) the keys \['a'\]"):
        StrictRecord(value, "report", ("a",))


def test_a_stranger_s_words_are_shown_short_and_plain() -> None:
    with pytest.raises(ReportError) as raised:
        StrictRecord({"\x1b[31m" * 10_000: 1}, "report", ("a",))
    assert len(str(raised.value)) < 300 and str(raised.value).isprintable()
