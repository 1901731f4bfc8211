"""Calls of the user's own code, whose errors become one sentence each."""

from collections.abc import Callable
from typing import TypeVar

from deployments.errors import ConfigurationError, one_line
from edge_runtime.errors import EdgewrightError, is_of_system
from model_compression.training import is_out_of_memory

Found = TypeVar("Found")


def call_user_code(call: Callable[[], Found], expected: str, remedy: str) -> Found:
    """Return what the user's own code gives. Every call of a workload's functions goes through here.

    An exit is an error like any other: no function of a workload ends a run, least of all with exit code 0. An error of
    Edgewright, which says itself what is wrong, passes, and one of memory or disk, which no user can correct.

    Raises:
        ConfigurationError: the code failed. It says what was `expected`, what was got, and the `remedy`.
    """
    try:
        return call()
    except EdgewrightError:
        raise
    except (Exception, SystemExit) as error:
        if is_of_system(error) or (isinstance(error, Exception) and is_out_of_memory(error)):
            raise
        raise ConfigurationError(f"{expected}, got {one_line(error)}; {remedy}") from error
