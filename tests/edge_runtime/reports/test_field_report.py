"""A report as JSON: what is written is read again, and nothing else is."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.reports import HEALTHS, MOST_MODELS, MOST_REPORT_BYTES, FieldReport, ReportError, from_bytes, to_bytes
from edge_runtime.statistics import BINS
from tests.edge_runtime.reports.made_reports import report

Change = Callable[[dict[str, Any]], object]
SERVED = ("models", 0, "served")


def changed(path: tuple[str | int, ...], value: object) -> bytes:
    """Return the bytes of a report with one value changed."""
    document = json.loads(to_bytes(report()))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(document).encode()


def test_what_was_written_is_read() -> None:
    bare = replace(report(), models=())
    for made in (report(), report(models=3, tensors=4), bare):
        assert from_bytes(to_bytes(made)) == made
    for health in HEALTHS:
        one = replace(report().models[0], health=health, served=None, release="", digest="", last_update="")
        assert from_bytes(to_bytes(replace(report(), models=(one,)))).models == (one,)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("device",), "A" * 64),
        (("device",), "../" * 21 + "a"),
        (("number",), 0),
        (("number",), 10**12),
        (("number",), True),
        (("number",), 1.0),
        (("number",), "1"),
        (("made_at",), "yesterday"),
        (("profile",), "a/b"),
        (("runtime",), ""),
        (("runtime",), "x" * 101),
        (("models",), {}),
        (("models",), [None]),
        (("models", 0, "model"), "../../etc"),
        (("models", 0, "model"), "a" * 129),
        (("models", 0, "release"), "\x1b[2J"),
        (("models", 0, "digest"), "c" * 63),
        (("models", 0, "health"), "fine"),
        (("models", 0, "last_update"), "x" * 501),
        (("models", 0, "last_update"), "two\nlines"),
        (("models", 0, "served"), []),
        ((*SERVED, "since"), ""),
        ((*SERVED, "requests"), {"ok": 1}),
        ((*SERVED, "requests", "ok"), -1),
        ((*SERVED, "requests", "ok"), 1 << 60),
        ((*SERVED, "rss_bytes"), None),
        ((*SERVED, "latency_s", "bounds"), [2.0, 1.0]),
        ((*SERVED, "latency_s", "bounds"), [1.0] * 100),
        ((*SERVED, "latency_s", "counts"), [1]),
        ((*SERVED, "latency_s", "sum"), True),
        ((*SERVED, "drift"), [None] * 65),
        ((*SERVED, "drift", 0, "tensor"), "x" * 257),
        ((*SERVED, "drift", 0, "counts"), [0] * (BINS + 1)),
        ((*SERVED, "drift", 0, "index"), "0"),
        ((*SERVED, "shadow", "digest"), ""),
        ((*SERVED, "shadow", "largest_gap"), None),
        ((*SERVED, "shadow", "unknown"), 1),
        (("more",), 1),
    ],
)
def test_a_wrong_value_is_refused_and_its_field_named(path: tuple[str | int, ...], value: object) -> None:
    with pytest.raises(ReportError, match="report") as raised:
        from_bytes(changed(path, value))
    named = [step for step in path[:-1] if isinstance(step, str)]
    assert all(step in str(raised.value) for step in named) and len(str(raised.value)) < 600


def test_another_format_says_what_to_do() -> None:
    with pytest.raises(ReportError, match=r"report\.format must be 1, not 2; read it with"):
        from_bytes(changed(("format",), 2))


def test_each_model_and_each_tensor_comes_once() -> None:
    one = report().models[0]
    with pytest.raises(ReportError, match="each model once"):
        to_bytes(replace(report(), models=(one, one)))
    assert one.served is not None
    twice = replace(one, served=replace(one.served, drift=one.served.drift * 2))
    with pytest.raises(ReportError, match="each tensor once"):
        to_bytes(replace(report(), models=(twice,)))


def test_what_would_be_refused_is_not_written() -> None:
    one = report().models[0]
    assert one.served is not None
    infinite = replace(one, served=replace(one.served, drift=(replace(one.served.drift[0], index=float("inf")),)))
    with pytest.raises(ReportError, match="JSON"):
        to_bytes(replace(report(), models=(infinite,)))
    with pytest.raises(ReportError, match=f"0 to {MOST_MODELS}"):
        to_bytes(replace(report(), models=tuple(replace(one, model=f"m{at}", served=None) for at in range(65))))
    with pytest.raises(ReportError, match="at most"):
        to_bytes(report(models=MOST_MODELS, tensors=64))


def test_bytes_have_a_bound_before_they_are_read() -> None:
    with pytest.raises(ReportError, match=f"at most {MOST_REPORT_BYTES} bytes"):
        from_bytes(b" " * (MOST_REPORT_BYTES + 1))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(_JSON, st.integers(0, 1 << 30))
def test_whatever_stands_in_a_field_is_read_or_refused(value: object, seed: int) -> None:
    document = json.loads(to_bytes(report()))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in range(len(node)) if isinstance(node, list) else list(node) if isinstance(node, dict) else ():
            places.append((node, key))
            walk(node[key])

    walk(document)
    node, key = places[seed % len(places)]
    node[key] = value
    _read_or_refused(json.dumps(document).encode())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 1 << 30))
def test_whatever_bytes_come_are_read_or_refused(data: bytes, seed: int) -> None:
    _read_or_refused(data)
    good = to_bytes(report())
    at = seed % len(good)
    _read_or_refused(good[:at] + data + good[at + 1 :])


def _read_or_refused(data: bytes) -> None:
    try:
        assert isinstance(from_bytes(data), FieldReport)
    except ReportError as error:
        assert str(error).isprintable() and len(str(error)) < 1000
