"""Calls of the user's own code: whatever it raises ends in one sentence."""

import errno
import sys
from collections.abc import Callable

import pytest

from deployments.errors import ConfigurationError
from deployments.user_calls import call_user_code
from edge_runtime.errors import EdgewrightError


def raising(error: BaseException) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (raising(ValueError("one\ntwo")), "ValueError: one two"),
        (lambda: sys.exit(0), "SystemExit: 0"),
        (lambda: sys.exit("the data are not there"), "SystemExit: the data are not there"),
        (raising(FileNotFoundError(errno.ENOENT, "no file")), "FileNotFoundError: [Errno 2] no file"),
    ],
)
def test_an_error_or_an_exit_is_one_sentence(call: Callable[[], None], got: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        call_user_code(call, "expected rows", "correct it")
    assert str(caught.value) == f"expected rows, got {got}; correct it"


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("it says itself what is wrong"),
        EdgewrightError("so does this"),
        MemoryError("too small"),
        OSError(errno.ENOSPC, "full"),
        RuntimeError("CUDA out of memory"),
        KeyboardInterrupt(),
    ],
)
def test_what_no_user_can_correct_or_says_itself_what_is_wrong_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        call_user_code(raising(error), "expected rows", "correct it")
    assert caught.value is error


def test_what_it_gives_is_returned() -> None:
    assert call_user_code(lambda: 3, "expected rows", "correct it") == 3
