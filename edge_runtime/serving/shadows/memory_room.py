"""Memory that this process may still take: that of the machine, and that of its control groups."""

from collections.abc import Iterator
from pathlib import Path

_KIB = 1024


def free_bytes(root: Path = Path("/")) -> int:
    """Return the bytes that may still be taken, the least of the machine's and of each control group's.

    Pages of files that nobody used lately count as free, as the kernel gives them up first. `root` is the root of the
    file system. Raises OSError where the kernel does not tell.
    """
    return min(_free_in_machine(root), *_free_in_groups(root))


def _free_in_machine(root: Path) -> int:
    lines = (root / "proc/meminfo").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines)
    return int(told["MemAvailable"].split()[0]) * _KIB


def _free_in_groups(root: Path) -> Iterator[int]:
    """Yield what is free in each control group around this process that has a limit; first, that there may be none."""
    yield 1 << 62
    groups = root / "proc/self/cgroup"
    for line in groups.read_text().splitlines() if groups.exists() else ():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            names = ("memory.max", "memory.current", "inactive_file")
            yield from _free_up_from(root / "sys/fs/cgroup", path, *names)
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _free_up_from(root / "sys/fs/cgroup/memory", path, *names)


def _free_up_from(mount: Path, path: str, limit: str, usage: str, unused: str) -> Iterator[int]:
    """Yield what is free in a group and in those around it; in a container its path may be that of the host."""
    inmost = mount / path.strip("/")
    for folder in (inmost, *inmost.parents):
        if not folder.is_relative_to(mount):
            return
        try:
            most, used = ((folder / name).read_text().strip() for name in (limit, usage))
            told = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except OSError:
            continue
        if most != "max":
            yield int(most) - int(used) + int(told.get(unused, 0))
