"""The figures of the emulators' benchmark, on answers made here: what differs is counted, and what ships is chosen."""

import numpy as np

from tests.benchmarks import emulators
from tests.benchmarks.emulators import ROWS, TARGETS, File, Seen

LABELS = np.arange(ROWS) % 10
NATIVE = np.eye(10)[LABELS]


def seen(wrong: int = 0, first: int = 0, noise: float = 0.0) -> Seen:
    outputs = NATIVE + noise
    outputs[first : first + wrong] = np.roll(outputs[first : first + wrong], 1, axis=1)
    return Seen(outputs, NATIVE, LABELS, 1.0)


def test_rows_points_and_the_largest_difference() -> None:
    broken, rounded = seen(wrong=30), seen(noise=0.004)
    assert (broken.differing, round(broken.points, 6), broken.largest) == (30, -3.0, 1.0)
    assert (rounded.differing, rounded.points, round(rounded.largest, 6)) == (0, 0.0, 0.004)


def test_parity_is_what_the_gate_says_on_its_rows() -> None:
    assert seen(noise=0.004).parity and not seen(noise=0.03).parity and not seen(wrong=1).parity
    assert seen(wrong=1, first=ROWS - 1).parity


def test_a_row_that_differs_where_the_gate_says_parity_misses_the_goal() -> None:
    files = [File(technique, reduced) for technique in ("PTQ", "QAT") for reduced in (False, True)]
    same: dict[tuple[str, File], Seen] = {(target, file): seen() for target in TARGETS for file in files}
    assert all(figure.holds for figure in emulators._figures(same))
    late = same | {("cortex-a72", File("PTQ", False)): seen(wrong=1, first=ROWS - 1)}
    missed = [figure.figure for figure in emulators._figures(late) if not figure.holds]
    assert missed == [
        "cortex-a72 (neon), PTQ as shipped: rows answered differently",
        "... rows that these answer differently, all together",
    ]
    naive = same | {("Haswell", File("PTQ", False)): seen(wrong=30)}
    missed = [figure.figure for figure in emulators._figures(naive) if not figure.holds]
    assert len(missed) == 2 and all("naive" in figure for figure in missed)
