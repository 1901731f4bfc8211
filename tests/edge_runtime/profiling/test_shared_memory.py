"""Memory by kind, from the kernel's own map of a process."""

import mmap
import os
from pathlib import Path

import pytest

from edge_runtime.profiling.shared_memory import MemoryKind, SharedMemory, kinds_in, kinds_of, memory_of

_ROWS = "Size: {0} kB\nRss: {1} kB\nShared_Clean: {2} kB\nShared_Dirty: 0 kB\nAnonymous: {3} kB\nVmFlags: rd mr\n"
SMAPS = (
    "7f00-7f10 r--p 00000000 08:01 12  /models/my weights\n" + _ROWS.format(4096, 2048, 1024, 0)
    + "7f20-7f30 rw-p 00000000 08:01 13  /lib/libonnx.so\n" + _ROWS.format(4096, 3072, 2048, 1024)
    + "7f40-7f50 rw-p 00000000 00:00 0\n" + _ROWS.format(4096, 4096, 512, 4096)
    + "7f60-7f70 rw-p 00000000 00:00 0  [heap]\n" + _ROWS.format(4096, 1024, 0, 1024)
)  # fmt: skip


def test_pages_of_files_are_told_from_memory_of_the_process() -> None:
    assert kinds_in(SMAPS, lambda path: path == "/models/my weights") == (
        MemoryKind("files of the model", 2.0, 1.0),
        MemoryKind("programs and libraries", 2.0, 2.0),
        MemoryKind("memory of its own", 6.0, 0.0),
    )


def test_a_mapped_file_and_anonymous_memory_of_this_process_are_found(tmp_path: Path) -> None:
    path = (tmp_path / "weights").resolve()
    path.write_bytes(bytes(8 << 20))
    before = memory_of(os.getpid())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[::4096]) == 0
        of_model, _, own = kinds_of(os.getpid(), frozenset({path}))
        block = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # never memory that was freed
        block.write(bytes(16 << 20))
        later = kinds_of(os.getpid(), frozenset({path}))[2]
    assert of_model.resident_mb == pytest.approx(8, abs=0.1)
    assert later.resident_mb - own.resident_mb > 10 and len(block) == 16 << 20
    assert before.private_mb > 0 and before.pss_mb >= before.private_mb


def test_the_excess_is_over_the_models_files() -> None:
    assert SharedMemory(4, 300.0, 100.0, 40.0, 24.0, 160.0, ()).over_weights == 1.25
