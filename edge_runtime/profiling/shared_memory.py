"""Memory of processes that run the same model: what they share, and what each of them has for itself.

Linux counts a page of a file once for all processes that map it, and divides it among them (PSS). Memory that no file
backs is each process's own: tensors, weights that were rearranged while the model was loaded, and Python's objects.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_KB = 1024
_MB = 1 << 20


@dataclass(frozen=True)
class MemoryKind:
    """Memory of one kind in one process, in MiB: resident, and of that what is shared with others at this moment."""

    name: str
    resident_mb: float
    shared_mb: float

    @property
    def private_mb(self) -> float:
        """Resident memory that this process alone has."""
        return self.resident_mb - self.shared_mb


@dataclass(frozen=True)
class ProcessMemory:
    """Memory of one process, in MiB; PSS counts a shared page by its share."""

    pss_mb: float
    private_mb: float


@dataclass(frozen=True)
class SharedMemory:
    """Memory of `processes` processes with one model, beside as many that have loaded ONNX Runtime and no model.

    `pss_mb` and `empty_pss_mb` are the sums over all of them. `private_mb` and `empty_private_mb` are those of one
    process. `kinds` are of the last process. Everything is in MiB.
    """

    processes: int
    pss_mb: float
    empty_pss_mb: float
    private_mb: float
    empty_private_mb: float
    weights_mb: float
    kinds: tuple[MemoryKind, ...]

    @property
    def over_weights(self) -> float:
        """The PSS that the model adds in all processes, as a multiple of its files; 1 is the best that there is."""
        return (self.pss_mb - self.empty_pss_mb) / self.weights_mb


def memory_of(pid: int) -> ProcessMemory:
    """Return the memory of a process as the kernel sums it up. Raises OSError."""
    rollup = dict(_fields(Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()))
    private = rollup.get("Private_Clean", 0) + rollup.get("Private_Dirty", 0) + rollup.get("Private_Hugetlb", 0)
    return ProcessMemory(rollup["Pss"] / _MB, private / _MB)


def kinds_of(pid: int, files: frozenset[Path]) -> tuple[MemoryKind, ...]:
    """Return the memory of a process by kind; `files` are those of the model. Raises OSError."""
    return kinds_in(Path(f"/proc/{pid}/smaps").read_text(), lambda path: Path(path) in files)


def kinds_in(smaps: str, of_model: Callable[[str], bool]) -> tuple[MemoryKind, ...]:
    """Sum up a process's map by kind: files of the model, other files, and memory that no file backs."""
    names = ("files of the model", "programs and libraries", "memory of its own")
    resident, shared = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for path, fields in _mappings(smaps):
        backed = path.startswith("/")
        anonymous = fields.get("Anonymous", 0) if backed else fields["Rss"]  # pages that were written are copies
        kind = names[0] if backed and of_model(path) else names[1]
        resident[kind] += fields["Rss"] - anonymous
        resident[names[2]] += anonymous
        shared[kind] += fields["Shared_Clean"] + fields["Shared_Dirty"] if backed else 0
    return tuple(MemoryKind(name, resident[name] / _MB, min(shared[name], resident[name]) / _MB) for name in names)


def _mappings(smaps: str) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the path of each mapping, empty where it has none, and its fields in bytes."""
    path, fields = "", dict[str, int]()
    for line in smaps.splitlines():
        first = line.split(" ", 1)[0]
        if not first.endswith(":"):  # the head of a mapping: addresses, rights, offset, device, inode, path
            if fields:
                yield path, fields
            parts = line.split(maxsplit=5)
            path, fields = parts[5].removesuffix(" (deleted)") if len(parts) == 6 else "", {}
        else:
            fields |= dict(_fields([line]))
    if fields:
        yield path, fields


def _fields(lines: list[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB":
            yield name, int(words[0]) * _KB
