"""Deltas that somebody has made to do harm: a DeltaError, with bounded memory and bytes, and nothing left behind."""

import errno
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.deltas import apply_delta, encode_delta
from edge_runtime.deltas.delta_format import (
    CHUNK,
    CHUNK_HEAD,
    HEADER,
    MAGIC,
    PIECES_HEAD,
    PLANE_HEAD,
    VERSION,
    Pieces,
    Prediction,
)
from edge_runtime.deltas.lzma_stage import pack
from edge_runtime.deltas.rans import rans_decode, rans_encode
from edge_runtime.deltas.residuals import ResidualKind
from edge_runtime.errors import DeltaError
from tests.edge_runtime.deltas.weights import int8_weights, moved, sha256, write

SIZE = 5000


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path / "base", int8_weights(SIZE))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return write(tmp_path / "new", moved(int8_weights(SIZE), 0.5))


@pytest.fixture
def good(base: Path, new: Path) -> bytes:
    made = encode_delta(base, new)
    assert made is not None
    return made


def _refused(base: Path, delta: bytes, match: str = "Expected", size: int = SIZE) -> None:
    target = base.with_name("target")
    with pytest.raises(DeltaError, match=match):
        apply_delta(base, delta, target, sha256="0" * 64, size=size)
    assert not target.exists()


def _header(size: int = SIZE, magic: bytes = MAGIC, version: int = VERSION) -> bytes:
    return HEADER.pack(magic, version, size)


def _bytes_chunk(stage: int, code: bytes, prediction: int = 0, head: bytes = b"") -> bytes:
    return CHUNK_HEAD.pack(prediction, ResidualKind.BYTES) + head + PLANE_HEAD.pack(stage, len(code)) + code


def _pieces(lengths: list[int], sources: list[int]) -> bytes:
    return Pieces(np.array(lengths, np.int64), np.array(sources, np.int64)).encode(0)


@pytest.mark.parametrize(
    ("delta", "match"),
    [
        (b"", "its end"),
        (_header(), "its end"),
        (_header(magic=b"EWDELTB"), "version 1"),
        (_header(version=2), "version 1"),
        (_header(SIZE + 1), "5000 bytes"),
        (_header() + b"\x07\x00", "known kind"),
        (_header() + b"\x00\x09", "known kind"),
        (_header() + _bytes_chunk(0, b"short"), "5000 bytes in a known form"),
        (_header() + _bytes_chunk(9, bytes(SIZE)), "known form"),
        (_header() + _bytes_chunk(0, bytes(SIZE)) + b"more", "more bytes"),
        (_header() + _bytes_chunk(0, bytes(SIZE)), "makes the sha256 000"),
        (_header() + CHUNK_HEAD.pack(0, 0) + PLANE_HEAD.pack(0, 1 << 31), "at most"),
        (_header() + _bytes_chunk(1, b"no lzma"), "compressed bytes"),
        (_header() + _bytes_chunk(1, pack(bytes(SIZE))[:-1]), "compressed bytes"),
        (_header() + _bytes_chunk(1, pack(bytes(SIZE)) + b"x"), "compressed bytes"),
        (_header() + _bytes_chunk(1, pack(bytes(SIZE - 1))), "5000 compressed bytes"),
        (_header() + _bytes_chunk(1, pack(bytes(SIZE + 1))), "5000 compressed bytes"),
        (_header() + _bytes_chunk(0, bytes(SIZE), Prediction.MATCHED, _pieces([SIZE], [1])), "in the base"),
        (_header() + _bytes_chunk(0, bytes(SIZE), Prediction.MATCHED, _pieces([SIZE], [-5])), "makes the sha256"),
        (_header() + _bytes_chunk(0, bytes(SIZE), Prediction.MATCHED, _pieces([10], [0])), "as long as the chunk"),
        (_header() + _bytes_chunk(0, bytes(SIZE), Prediction.MATCHED, _pieces([0, SIZE], [0, 0])), "within a chunk"),
        (_header() + _bytes_chunk(0, bytes(SIZE), Prediction.MATCHED, PIECES_HEAD.pack(1 << 20, 0)), "at most 65536"),
        (_header() + _bytes_chunk(0, bytes(SIZE), Prediction.MATCHED, _pieces([SIZE], [1 << 60])), "within the base"),
    ],
)  # fmt: skip
def test_a_malformed_delta_is_refused(base: Path, delta: bytes, match: str) -> None:
    _refused(base, delta, match)


def _rans(change: str) -> bytes:
    code = bytearray(rans_encode(np.zeros(SIZE, np.uint8) + np.arange(SIZE, dtype=np.uint8) % 3))
    if change == "cut":
        return bytes(code[:3])
    if change == "odd":
        return bytes(code) + b"x"
    if change == "more":
        return bytes(code) + b"xx"
    if change == "less":
        return bytes(code[:-2])
    if change == "state":
        code[6 + struct.unpack_from("<I", code, 2)[0]] ^= 1
        return bytes(code)
    side = pack(bytes(512) + bytes(-(-SIZE >> 7)))
    return (
        struct.pack("<BBI", {"blocks": 60}.get(change, 7), {"tables": 200}.get(change, 1), len(side)) + side + bytes(64)
    )


@pytest.mark.parametrize("change", ["cut", "odd", "more", "less", "state", "frequencies", "blocks", "tables"])
def test_a_malformed_entropy_code_is_refused(base: Path, change: str) -> None:
    with pytest.raises(DeltaError):
        rans_decode(memoryview(_rans(change)), SIZE)
    _refused(base, _header() + _bytes_chunk(2, _rans(change)))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_byte_is_an_error_or_the_same_file(base: Path, new: Path, good: bytes, data: st.DataObject) -> None:
    wrong = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        wrong[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    wrong = wrong[: data.draw(st.sampled_from([len(wrong), len(wrong) // 2, len(wrong) - 1]))]
    target = base.with_name("target")
    try:
        apply_delta(base, bytes(wrong), target, sha256=sha256(new), size=SIZE)
    except DeltaError:
        assert not target.exists()
    else:
        assert target.read_bytes() == new.read_bytes()
        target.unlink()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)), body=st.binary(max_size=300),
    size=st.integers(1, 3000),
)  # fmt: skip
def test_any_bytes_are_a_delta_error(base: Path, kinds: tuple[int, int, int], body: bytes, size: int) -> None:
    prediction, residual, stage = kinds
    head = _header(size) + CHUNK_HEAD.pack(prediction, residual)
    for delta in (body, _header(size) + body, head + body, head + PLANE_HEAD.pack(stage, len(body)) + body):
        _refused(base, delta, size=size)


@settings(max_examples=80, deadline=None)
@given(code=st.binary(min_size=6, max_size=300), count=st.integers(1, 5000))
def test_any_bytes_are_no_entropy_code(code: bytes, count: int) -> None:
    side = pack(bytes(code)[:100])
    for candidate in (code, struct.pack("<BBI", 7, 1, len(side)) + side + code):
        with pytest.raises(DeltaError):
            rans_decode(memoryview(candidate), count)


def test_another_base_is_an_error(good: bytes, new: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", int8_weights(SIZE, 9))
    with pytest.raises(DeltaError, match="makes the sha256"):
        apply_delta(other, good, tmp_path / "target", sha256=sha256(new), size=SIZE)
    for absent in (tmp_path / "absent", tmp_path):
        with pytest.raises(DeltaError, match="the base"):
            apply_delta(absent, good, tmp_path / "target", sha256=sha256(new), size=SIZE)


def test_a_full_disk_is_no_fault_of_the_delta(
    base: Path, good: bytes, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fired = []

    def full(descriptor: int) -> None:
        fired.append(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        apply_delta(base, good, tmp_path / "target", sha256=sha256(new), size=SIZE)
    assert fired and not (tmp_path / "target").exists()


def test_a_link_in_the_targets_place_is_not_followed(base: Path, good: bytes, new: Path, tmp_path: Path) -> None:
    (tmp_path / "target").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        apply_delta(base, good, tmp_path / "target", sha256=sha256(new), size=SIZE)
    assert not (tmp_path / "elsewhere").exists()


APPLYING = """
import resource, sys
from pathlib import Path
import edge_runtime.deltas
from edge_runtime.errors import DeltaError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    base, delta, target = map(Path, sys.argv[1:4])
    edge_runtime.deltas.apply_delta(base, delta, target, sha256=sys.argv[4], size=int(sys.argv[5]))
    print("made", end=" ")
except DeltaError:
    print("refused", end=" ")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _memory(base: Path, delta: Path, wanted: str, size: int) -> tuple[str, int]:
    """Apply in a fresh process; return what came of it and the growth of its memory in KiB."""
    command = [sys.executable, "-c", APPLYING, str(base), str(delta), str(base.with_name("target")), wanted, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    outcome, growth = done.stdout.split()
    return outcome, int(growth)


def test_a_large_file_is_made_in_little_memory(tmp_path: Path) -> None:
    weights = int8_weights(2 * CHUNK)
    base, new = write(tmp_path / "base", weights), write(tmp_path / "new", moved(weights, 0.5))
    made = encode_delta(base, new)
    assert made is not None
    outcome, growth = _memory(base, write(tmp_path / "delta", made), sha256(new), 2 * CHUNK)
    assert outcome == "made"
    assert growth < 24 * 1024


def test_a_bomb_takes_no_more_memory_and_writes_no_more_than_promised(tmp_path: Path, base: Path) -> None:
    bomb = pack(bytes(1 << 26))
    delta = _header(CHUNK) + _bytes_chunk(1, bomb)
    assert len(delta) < 1 << 20
    outcome, growth = _memory(base, write(tmp_path / "delta", delta), "0" * 64, CHUNK)
    assert outcome == "refused"
    assert growth < 24 * 1024
