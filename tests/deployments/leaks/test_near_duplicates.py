"""Rows that are nearly the same are found by a hash of pictures and of texts; other rows are not looked at."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from deployments.leaks import NearRows, near_rows
from deployments.rows import SPLITS, Split, SplitName

WORDS = [f"word{number}" for number in range(400)]


def blobs(rows: int, random: np.random.Generator, channels: int = 1) -> np.ndarray:
    """Pictures of four soft blobs each, (rows, channels, 28, 28) in [0, 1]."""
    at = np.arange(28)
    x, y = (random.uniform(2, 26, (rows, channels, 4, 1, 1)) for _ in range(2))
    wide, high = random.uniform(2, 6, (rows, channels, 4, 1, 1)), random.uniform(0.3, 1, (rows, channels, 4, 1, 1))
    pictures = (high * np.exp(-((at[:, None] - y) ** 2 + (at - x) ** 2) / (2 * wide**2))).sum(axis=2)
    return np.clip(pictures, 0, 1).astype(np.float32)


def splits(made: dict[SplitName, np.ndarray]) -> dict[SplitName, Split]:
    return {
        name: Split((rows,), np.zeros(len(rows), dtype=np.int64), pd.DataFrame({"label": [0] * len(rows)}))
        for name, rows in made.items()
    }


def pictures(channels: int = 1) -> dict[SplitName, np.ndarray]:
    random = np.random.default_rng(4)
    sizes = {"train": 400, "calibration": 20, "validation": 60, "test": 100}
    return {name: blobs(sizes[name], random, channels) for name in SPLITS}


def found(made: dict[SplitName, np.ndarray]) -> list[NearRows]:
    return list(near_rows(splits(made), None))


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_their_own_are_not_reported(channels: int) -> None:
    assert found(pictures(channels)) == []


def test_a_brighter_copy_is_found_with_its_row() -> None:
    made = pictures()
    made["test"][5] = np.clip(1.2 * made["train"][17] + 0.05, 0, 1.3)
    made["test"][6] = 0.8 * made["validation"][2]
    assert [(each.making, each.judging, each.rows, each.examples) for each in found(made)] == [
        ("train", "test", 1, ((5, 17),)),
        ("validation", "test", 1, ((6, 2),)),
    ]


def test_most_noisy_copies_are_found() -> None:
    made, random = pictures(), np.random.default_rng(1)
    made["test"][:50] = made["train"][:50] + random.normal(0, 0.02, (50, 1, 28, 28)).astype(np.float32)
    (near,) = found(made)
    assert near.rows >= 40


def test_an_exact_copy_is_left_to_the_other_check() -> None:
    made = pictures()
    made["test"][5] = made["train"][17]
    assert found(made) == []


def test_pictures_without_a_contrast_are_alike_in_nothing() -> None:
    made = pictures()
    made["test"][:3], made["train"][:3] = 0.5, 0.25
    assert found(made) == []


def sentences(rows: int, random: np.random.Generator) -> list[str]:
    return [" ".join(random.choice(WORDS, 40)) for _ in range(rows)]


def texts(change: str = "") -> list[NearRows]:
    random = np.random.default_rng(2)
    written = {name: sentences(30, random) for name in SPLITS}
    if change:
        written["test"][4] = f"{written['train'][9].upper()} {change}"
    made = splits({name: np.full((30, 12), place) for place, name in enumerate(SPLITS)})
    names = {id(split): name for name, split in made.items()}
    for split in made.values():
        split.inputs[0][:, 0] = np.arange(30)
    return list(near_rows(made, lambda split, row: written[names[id(split)]][row]))


def test_a_text_with_a_word_more_is_found() -> None:
    assert texts() == []
    (near,) = texts("again")
    assert (near.kind, near.making, near.examples) == ("text", "train", ((4, 9),))
    assert str(near) == (
        "1 of 30 test rows nearly are rows of train by the words that texts share (test row 4 and train row 9)"
    )


def test_rows_of_numbers_have_no_hash() -> None:
    random = np.random.default_rng(3)
    made = {name: random.normal(size=(20, 9)) for name in SPLITS}
    made["test"][0] = made["train"][0] + 1e-6
    assert (
        list(near_rows(splits(made), lambda _split, _row: "the same text of more than eight words for all rows")) == []
    )


def test_many_pictures_take_little_memory() -> None:
    images = np.random.default_rng(0).random((20_000, 1, 8, 8), dtype=np.float32)
    made = splits({"train": images, "calibration": images[:2], "validation": images[2:4], "test": images[4:6]})
    tracemalloc.start()
    try:
        assert not list(near_rows(made, None))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1500 * len(images)  # with what is at hand at a time: the pictures as bytes, and their digests
