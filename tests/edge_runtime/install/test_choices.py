"""The better of two ways to run a bundle is the faster one, unless processes would share less of it."""

import pytest

from edge_runtime.errors import SessionError
from edge_runtime.install.choices import FailedChoice, MeasuredChoice, choice_from_plain
from edge_runtime.settings import SessionSettings

ONE = SessionSettings(threads=1)
BYTES = 100 << 20


def choice(ms: float, private_mb: float = 100.0, batch_ms: float | None = None) -> MeasuredChoice:
    return MeasuredChoice("portable", ONE, ms, batch_ms, private_mb)


@pytest.mark.parametrize(
    ("new", "old", "better"),
    [
        (choice(9.4), choice(10), True),
        (choice(9.6), choice(10), False),  # noise
        (choice(10.9, 1), choice(10), True),  # it shares what the other one has for itself
        (choice(11.1, 1), choice(10), False),
        (choice(9.2), choice(10, 1), False),  # it is faster, and shares less
        (choice(9.0), choice(10, 1), True),
        (choice(9.4, 105), choice(10), True),  # about as much
        (choice(9, batch_ms=50), choice(10, batch_ms=20), False),  # fast for one row, slow for several
        (choice(10, 1, batch_ms=21), choice(10, batch_ms=20), True),
        (choice(9, batch_ms=50), choice(10), True),  # one of them knows one row alone
    ],
)
def test_a_choice_is_taken_for_its_time_and_its_memory(new: MeasuredChoice, old: MeasuredChoice, better: bool) -> None:
    assert new.is_better_than(old, BYTES) is better


def test_a_small_model_is_not_chosen_by_its_memory() -> None:
    assert not choice(10, 0.1).is_better_than(choice(10, 3.0), 1 << 10)


@pytest.mark.parametrize(
    "found",
    [
        choice(1.5, batch_ms=3.0),
        MeasuredChoice("tuned", SessionSettings(2, optimization="off", prepack=False), 1.0, None, 0.0),
        FailedChoice("tuned", None, "no tuned graph was made"),
        FailedChoice("portable", ONE, "it answers wrongly"),
    ],
)
def test_what_was_tried_is_written_down(found: MeasuredChoice | FailedChoice) -> None:
    assert choice_from_plain(found.to_plain()) == found


@pytest.mark.parametrize("change", [{"p50_ms": "fast"}, {"session": None}, {"session": {}}])
def test_another_record_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, SessionError)):
        choice_from_plain(choice(1.0).to_plain() | change)
