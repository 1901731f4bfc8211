"""Lines of a training's log: the time that is left, by a clock that the test sets."""

import logging

import pytest

from tasks.progress import steps
from tasks.progress.bars import FIRST_LINE_S, NEXT_LINE_S


def test_a_log_is_told_the_time_that_is_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgewright")
    times = iter([0.0, 1.0, FIRST_LINE_S, FIRST_LINE_S + 1, FIRST_LINE_S + NEXT_LINE_S, 200.0])
    with steps("fine-tuning", lambda: next(times)) as report:
        report(1, 100, 0.9, None)
        report(5, 100, 0.5, None)
        report(6, 100, 0.5, None)
        report(50, 100, 0.25, 0.75)
        report(100, 100, 0.2, 0.8)
    assert caplog.messages == [
        "fine-tuning: step 5 of 100, about 2 min left, loss 0.500",
        "fine-tuning: step 50 of 100, about 65 s left, loss 0.250, validation 0.750",
    ]


def test_a_training_of_seconds_has_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgewright")
    with steps("fine-tuning", lambda: 0.0) as report:
        for step in range(1, 11):
            report(step, 10, 0.1, None)
    assert caplog.messages == []
