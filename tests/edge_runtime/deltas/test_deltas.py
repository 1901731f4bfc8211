"""Round trips of deltas, and their sizes beside what the differences must cost."""

import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.deltas import apply_delta, encode_delta
from edge_runtime.deltas.delta_format import CHUNK
from tests.edge_runtime.deltas.weights import int4_weights, int8_weights, moved, moved_int4, sha256, write


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


def _size(base: Path | None, new: Path) -> int:
    """Encode, apply, compare; return the size of the delta."""
    delta = encode_delta(base, new)
    assert delta is not None
    target = new.with_name("made")
    apply_delta(base, delta, target, sha256=sha256(new), size=new.stat().st_size)
    assert target.read_bytes() == new.read_bytes()
    target.unlink()
    written = write(new.with_name("delta"), delta)
    apply_delta(base, written, target, sha256=sha256(new), size=new.stat().st_size)
    assert target.read_bytes() == new.read_bytes()
    return len(delta)


@pytest.mark.parametrize(("steps", "most"), [(0.3, 0.08), (0.5, 0.17), (1.0, 0.28)])
def test_int8_weights_cost_about_the_entropy_of_their_steps(base: Path, new: Path, steps: float, most: float) -> None:
    before = int8_weights(60_000)
    after = moved(before, steps)
    write(base, before), write(new, after)
    size = _size(base, new)
    assert size < most * len(before)
    difference = (after.view(np.uint8) - before.view(np.uint8)).tobytes()
    assert size < 0.95 * len(lzma.compress(difference, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}]))


def test_channels_that_move_differently_are_told_apart(base: Path, new: Path) -> None:
    before = int8_weights(60_000)
    quiet, loud = moved(before[:30_000], 0.2), moved(before[30_000:], 4.0)
    write(base, before), write(new, np.concatenate([quiet, loud]))
    parts = []
    for name, old, young in (("quiet", before[:30_000], quiet), ("loud", before[30_000:], loud)):
        one, other = write(base.with_name(f"{name}-old"), old), write(base.with_name(f"{name}-new"), young)
        made = encode_delta(one, other)
        assert made is not None
        parts.append(len(made))
    assert _size(base, new) < 1.02 * sum(parts)


def test_int4_weights_cost_about_the_entropy_of_their_steps(base: Path, new: Path) -> None:
    before = int4_weights(40_000)
    write(base, before), write(new, moved_int4(before, 0.1))
    assert _size(base, new) < 0.16 * len(before)  # 0.57 bits for each of two values


@pytest.mark.parametrize(("dtype", "most"), [("<f4", 0.70), ("<f2", 0.65)])
def test_float_weights_keep_their_high_bytes(base: Path, new: Path, dtype: str, most: float) -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(0, 0.1, 50_000)
    write(base, before.astype(dtype)), write(new, (before * (1 + rng.normal(0, 0.002, 50_000))).astype(dtype))
    assert _size(base, new) < most * new.stat().st_size


def test_an_equal_file_costs_nearly_nothing(base: Path, new: Path) -> None:
    write(base, int8_weights(1_60_000)), write(new, int8_weights(1_60_000))
    assert _size(base, new) < 2000


def test_a_file_of_several_chunks_and_odd_length(base: Path, new: Path) -> None:
    before = int8_weights(CHUNK + 12_345)
    write(base, before), write(new, moved(before, 0.3))
    assert _size(base, new) < 0.2 * len(before)


def test_a_file_that_grew_or_shrank_is_still_predicted(base: Path, new: Path) -> None:
    before = int8_weights(40_000)
    after = moved(before, 0.3)
    write(base, before[:36_000]), write(new, after)
    assert _size(base, new) < 0.3 * len(after)
    write(base, before), write(new, after[:36_000])
    assert _size(base, new) < 0.2 * 36_000


def test_a_graph_whose_fields_are_shifted_is_matched(base: Path, new: Path) -> None:
    rng = np.random.default_rng(0)
    fields = [(f"layers.{n}.attention.weight_quantized".encode(), int8_weights(800, n)) for n in range(40)]
    write(base, b"".join(name + weights.tobytes() for name, weights in fields))
    grown = [(name + b"x" * int(rng.integers(0, 3)), moved(old, 0.4, n)) for n, (name, old) in enumerate(fields)]
    write(new, b"".join(name + weights.tobytes() for name, weights in grown))
    size = _size(base, new)
    assert size < 0.25 * new.stat().st_size
    aligned = write(base.with_name("shifted"), bytes(1) + base.read_bytes())
    assert _size(aligned, new) < 1.1 * size


def test_unrelated_weights_are_not_worth_a_delta(base: Path, new: Path) -> None:
    write(base, int8_weights(50_000, 1)), write(new, int8_weights(50_000, 2))
    assert encode_delta(base, new) is None


def test_a_file_without_a_base_travels_compressed(new: Path) -> None:
    write(new, int8_weights(40_000))
    assert _size(None, new) < 0.95 * 40_000
    write(new, b"a graph with a name, " * 1000)
    assert _size(None, new) < 300


def test_noise_is_not_compressed(base: Path, new: Path) -> None:
    noise = np.random.default_rng(0).bytes(10_000)
    write(base, b""), write(new, noise)
    assert encode_delta(None, new) is None
    assert encode_delta(base, new) is None


def test_an_empty_file_needs_no_delta(base: Path, new: Path) -> None:
    write(base, b"x"), write(new, b"")
    assert encode_delta(base, new) is None
    assert encode_delta(None, new) is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=st.binary(max_size=300), change=st.binary(max_size=40), at=st.integers(0, 300), repeat=st.integers(1, 8))
def test_any_two_files_go_through(tmp_path: Path, old: bytes, change: bytes, at: int, repeat: int) -> None:
    base = write(tmp_path / "base", old * repeat)
    new = write(tmp_path / "new", (old[:at] + change + old[at:]) * repeat)
    for known in (base, None):
        delta = encode_delta(known, new)
        if delta is not None:
            apply_delta(known, delta, tmp_path / "made", sha256=sha256(new), size=new.stat().st_size)
            assert (tmp_path / "made").read_bytes() == new.read_bytes()
            assert len(delta) < new.stat().st_size
