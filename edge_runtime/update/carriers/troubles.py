"""Troubles that a carrier raises: who does not answer, who does not take a file, what this device itself holds back."""

from typing import Literal

from edge_runtime.errors import UpdateError

Reason = Literal["window", "lock", "cap", "pin"]


class Unreachable(UpdateError):  # noqa: N818 - it names a state
    """A server that does not answer, answers with an error, or was asked too often; it may answer later."""


class Rejected(UpdateError):  # noqa: N818 - it names a state
    """A file that a server does not take, now or later."""


class HeldBack(UpdateError):  # noqa: N818 - it names a state
    """An update that waits for something on this device: `reason` names the window, the lock, the cap or the pin."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
