"""Which channels go, on scores made up for the purpose."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_compression.pruning.rounds import Candidates, choose


def ranked(*scores: float, blocks: int = 1, step: int = 1, **more: Any) -> Candidates:
    return Candidates("channels", torch.tensor(scores, dtype=torch.float32), blocks, step=step, **more)


def test_the_least_important_go_wherever_they_are() -> None:
    groups = [ranked(5, 1, 6, 7), ranked(9, 2, 3, 8)]
    assert choose(groups, 0.25) == [[1], [1]]
    assert choose(groups, 0.375) == [[1], [1, 2]]


def test_what_remains_is_a_multiple_of_round_to() -> None:
    groups = [ranked(*range(10), step=4), ranked(*range(20, 36), step=4)]
    assert choose(groups, 0.1) == [[0, 1], []]  # 10 to 8; nothing of the dearer one
    assert choose(groups, 0.23) == [[0, 1], [0, 1, 2, 3]]


def test_half_of_a_bundle_stays_however_little_it_matters() -> None:
    assert choose([ranked(*[0.0] * 8), ranked(*[1.0] * 8)], 0.5) == [[0, 1, 2, 3], [0, 1, 2, 3]]


def test_blocks_lose_the_same_positions_by_their_mean_score() -> None:
    # positions 0, 1, 2 score (0 + 9), (2 + 2), (5 + 5) over the two blocks
    assert choose([ranked(0, 2, 5, 9, 2, 5, blocks=2)], 0.3) == [[1, 4]]


def test_one_step_is_taken_even_where_it_is_more_than_the_ratio() -> None:
    assert choose([ranked(*range(16), step=8)], 0.05) == [[0, 1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize("groups", [[], [ranked(1, step=8)], [ranked(*range(8), step=8)]])
def test_nothing_goes_where_no_step_is_possible(groups: list[Candidates]) -> None:
    assert choose(groups, 0.5) == [[] for _ in groups]


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(2, 12).map(lambda n: 8 * n), min_size=2, max_size=8),
    ratio=st.floats(0.1, 0.4),
    round_to=st.sampled_from([1, 2, 4, 8]),
    seed=st.integers(0, 99),
)
def test_the_ratio_is_met_as_nearly_as_the_steps_allow(
    widths: list[int], ratio: float, round_to: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    groups = [Candidates("channels", torch.rand(width, generator=generator), step=round_to) for width in widths]
    chosen = choose(groups, ratio)
    left = [width - len(gone) for width, gone in zip(widths, chosen, strict=True)]
    assert all(rest % round_to == 0 and rest >= width / 2 for rest, width in zip(left, widths, strict=True))
    assert all(len(set(gone)) == len(gone) for gone in chosen)
    removed, target = sum(map(len, chosen)), ratio * sum(widths)
    assert removed == round_to or abs(removed - target) <= round_to / 2 + 1e-6
