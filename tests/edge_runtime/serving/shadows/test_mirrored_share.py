"""The share of requests and of time that a shadow gets."""

import math
from fractions import Fraction

import pytest

from edge_runtime.serving.shadows.mirrored_share import MirroredShare


@pytest.mark.parametrize("share", [1.0, 0.5, 1 / 3, 0.3, 0.1, 0.07, 0.0013])
def test_of_any_number_of_requests_the_share_is_chosen(share: float) -> None:
    mirrored, chosen = MirroredShare(share), 0
    for number in range(1, 5001):
        chosen += mirrored.takes_next()
        assert chosen == math.floor(Fraction(str(share)) * number)


def test_after_a_call_it_rests_until_the_call_was_its_share_of_the_time() -> None:
    now = [100.0]
    share = MirroredShare(0.25, lambda: now[0])
    assert share.has_rested
    now[0] += 2.0
    share.worked(2.0)
    now[0] += 5.9
    assert not share.has_rested
    now[0] += 0.2
    assert share.has_rested


def test_a_whole_share_never_rests() -> None:
    share = MirroredShare(1.0, lambda: 5.0)
    share.worked(100.0)
    assert share.has_rested
