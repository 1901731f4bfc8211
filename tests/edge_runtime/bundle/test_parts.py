"""Parts of a manifest: what each of them refuses, and what it says."""

from collections.abc import Callable
from typing import Any

import pytest

from edge_runtime.bundle import (
    QUANTILES,
    Blob,
    BundleError,
    Delta,
    Golden,
    Measured,
    RuntimeRange,
    Spread,
    Validity,
)

EVEN = tuple(float(share) for share in QUANTILES)
HUGE = 10**400  # more than a float can hold
NO_NUMBERS: list[Any] = [None, "1", True, float("nan"), float("inf"), -float("inf"), HUGE, [1]]


@pytest.mark.parametrize(
    ("sha256", "size"), [("a" * 63, 1), ("A" * 64, 1), ("a" * 64, -1), ("a" * 64, True), ("a" * 64, 10**15)]
)
def test_a_blob_needs_a_real_digest_and_size(sha256: str, size: int) -> None:
    with pytest.raises(BundleError, match="needs a"):
        Blob("model.onnx", sha256, size)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "blob with a path": (lambda: Blob("../up", "a" * 64, 1), "cannot be part of a path"),
    "golden with a path": (lambda: Golden("a/b", 8, 1, {"y": 0.1}), "cannot be part of a path"),
    "golden without rows": (lambda: Golden("g", 0, 1, {"y": 0.1}), "1 to 1048576 rows"),
    "golden with a truth": (lambda: Golden("g", True, 1, {"y": 0.1}), "1 to 1048576 rows"),
    "golden with too many": (lambda: Golden("g", (1 << 20) + 1, 1, {"y": 0.1}), "1 to 1048576 rows"),
    "golden without outputs": (lambda: Golden("g", 8, 1, {}), "tolerance for each output"),
    "golden with a list": (lambda: Golden("g", 8, 1, [("y", 0.1)]), "tolerance for each output"),  # type: ignore[arg-type]
    "golden without a batch": (lambda: Golden("g", 8, 0, {"y": 0.1}), "a batch of 1 to 8 rows"),
    "golden with a larger batch": (lambda: Golden("g", 8, 9, {"y": 0.1}), "a batch of 1 to 8 rows"),
    "golden of no name": (lambda: Golden("g", 8, 1, {"": 0.1}), "printable name of an output"),
    "golden of a newline": (lambda: Golden("g", 8, 1, {"y\n": 0.1}), "printable name of an output"),
    "golden below 0": (lambda: Golden("g", 8, 1, {"y": -1e-9}), "must not be below 0"),
    "spread of no name": (lambda: Spread("", 4, 0.0, 1.0, EVEN), "printable name of a tensor"),
    "spread without rows": (lambda: Spread("x", 0, 0.0, 1.0, EVEN), "number of rows of at least 1"),
    "spread of half a row": (lambda: Spread("x", 0.5, 0.0, 1.0, EVEN), "number of rows of"),  # type: ignore[arg-type]
    "spread too short": (lambda: Spread("x", 4, 0.0, 1.0, EVEN[1:]), "needs 9 quantiles"),
    "delta of no digest": (lambda: Delta("a" * 64, "b" * 63, "c" * 64, 1), "needs a sha256"),
    "delta of no size": (lambda: Delta("a" * 64, "b" * 64, "c" * 64, -1), "size in whole bytes"),
    "delta of itself": (lambda: Delta("a" * 64, "a" * 64, "c" * 64, 1), "from another one"),
    "validity with a path": (lambda: Validity(("..",)), "cannot be part of a path"),
    "validity of a number": (lambda: Validity((), elsewhere=0), "as true or false"),  # type: ignore[arg-type]
    "figures in a list": (lambda: Measured([1.0]), "object with names as keys"),  # type: ignore[arg-type]
    "figures of an escape code": (lambda: Measured({"\x1b[0m": 1.0}), "object with names as keys"),
    "figures of a number": (lambda: Measured({3: 1.0}), "object with names as keys"),  # type: ignore[dict-item]
    "curve of words": (lambda: Measured({}, {"few": 1.0}), "numbers of rows as keys"),
    "curve of no rows": (lambda: Measured({}, {"0": 1.0}), "numbers of rows as keys"),
    "curve of another zero": (lambda: Measured({}, {"08": 1.0}), "numbers of rows as keys"),
    "curve of Arabic digits": (lambda: Measured({}, {"\u0663": 1.0}), "numbers of rows as keys"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_device_could_use_is_refused(what: str) -> None:
    make, sentence = REFUSED[what]
    with pytest.raises(BundleError, match=sentence):
        make()


@pytest.mark.parametrize("number", NO_NUMBERS, ids=lambda number: repr(number)[:9])
def test_every_figure_is_a_finite_number(number: Any) -> None:
    made: list[Callable[[], object]] = [
        lambda: Golden("g", 8, 1, {"y": number}), lambda: Measured({"load_ms": number}),
        lambda: Measured({}, {"8": number}), lambda: Spread("x", 4, number, 1.0, EVEN),
        lambda: Spread("x", 4, 0.0, number, EVEN), lambda: Spread("x", 4, 0.0, 1.0, (*EVEN[1:], number)),
    ]  # fmt: skip
    for make in made:
        with pytest.raises(BundleError, match="must be a finite number"):
            make()


@pytest.mark.parametrize(
    ("validity", "here", "holds"),
    [
        (Validity(("avx2", "neon")), "neon", True),
        (Validity(("avx2",)), "neon", False),
        (Validity(("avx2",)), None, False),
        (Validity(), "avx2", False),
        (Validity(("avx2",), elsewhere=True), "neon", True),
        (Validity((), elsewhere=True), None, True),
    ],
)
def test_a_verdict_holds_on_its_instruction_sets_or_everywhere(
    validity: Validity, here: str | None, holds: bool
) -> None:
    assert validity.holds_on(here) is holds


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.31.1", ("1.31.1", "1.32")), ("1.31.0+cpu", ("1.31.0", "1.32")), ("2.0", ("2.0.0", "2.1"))],
)
def test_a_model_may_run_on_what_measured_it_and_on_later_patches(version: str, expected: tuple[str, str]) -> None:
    assert RuntimeRange.measured_with(version) == RuntimeRange(*expected)
    assert RuntimeRange.measured_with(version).holds(version)


@pytest.mark.parametrize(
    ("version", "holds"),
    [("1.31.1", True), ("1.31.10", True), ("1.31.1.dev20261126", True), ("1.31.0", False), ("1.31", False),
     ("1.32", False), ("1.32.0rc1", False), ("2.0", False), ("unknown", False)],
)  # fmt: skip
def test_versions_are_compared_as_numbers(version: str, holds: bool) -> None:
    assert RuntimeRange("1.31.1", "1.32").holds(version) is holds


@pytest.mark.parametrize("version", ["1", "1.x", "01.2", "1.2.3.4.5", "1.2 ", "1." + "9" * 7, "", None])
def test_a_range_needs_versions(version: Any) -> None:
    with pytest.raises(BundleError, match="needs versions such as"):
        RuntimeRange(version, "99.0")


def test_a_range_that_holds_nothing_is_refused() -> None:
    with pytest.raises(BundleError, match=r"from 1\.32 to below 1\.32 holds no version"):
        RuntimeRange("1.32", "1.32")
