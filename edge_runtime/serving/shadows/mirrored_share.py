"""The share of requests and of time that a shadow gets, kept exactly."""

import time
from collections.abc import Callable
from fractions import Fraction


class MirroredShare:
    """A share of the requests, evenly spread, and of the time; it is above 0 and at most 1.

    Of any number of requests from the first on, at most this share is chosen. After each call the shadow rests so long
    that the call was at most this share of call and rest.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = Fraction(str(share))
        self._credit = 0
        self._clock = clock
        self._rests_until = clock()

    def takes_next(self) -> bool:
        """Count a request, and tell whether it is one of the share."""
        self._credit += self._share.numerator
        if self._credit < self._share.denominator:
            return False
        self._credit -= self._share.denominator
        return True

    def worked(self, seconds: float) -> None:
        """Rest after a call that has ended now."""
        self._rests_until = self._clock() + seconds * float(1 / self._share - 1)

    @property
    def has_rested(self) -> bool:
        """True where a call may begin."""
        return self._clock() >= self._rests_until
