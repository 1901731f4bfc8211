"""Memory that this process may still take, on made trees of the kernel's files and on this machine."""

from pathlib import Path

import pytest

from edge_runtime.serving.shadows.memory_room import free_bytes

KIB = 1024
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def machine(root: Path, available_kib: int, groups: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 9000 kB\nMemAvailable:    {available_kib} kB\nHugePages_Total: 0\n")
    (root / "proc/self/cgroup").write_text(groups)
    return root


def group(folder: Path, names: tuple[str, str, str], most: object, used: int, unused: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{most}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{names[2]} {unused}\n")


def test_without_groups_it_is_what_the_machine_has(tmp_path: Path) -> None:
    assert free_bytes(machine(tmp_path, 500, "0::/\n")) == 500 * KIB


def test_the_tightest_group_around_the_process_counts(tmp_path: Path) -> None:
    root = machine(tmp_path, 500, "0::/system.slice/serve.service\n")
    group(root / "sys/fs/cgroup/system.slice", V2, 300 * KIB, 200 * KIB, 20 * KIB)
    group(root / "sys/fs/cgroup/system.slice/serve.service", V2, "max", 100 * KIB, 0)
    assert free_bytes(root) == 120 * KIB
    group(root / "sys/fs/cgroup/system.slice/serve.service", V2, 150 * KIB, 100 * KIB, 0)
    assert free_bytes(root) == 50 * KIB


def test_in_a_container_the_path_may_be_that_of_the_host(tmp_path: Path) -> None:
    root = machine(tmp_path, 500, "0::/docker/abc\n")
    group(root / "sys/fs/cgroup", V2, 90 * KIB, 50 * KIB, 10 * KIB)
    assert free_bytes(root) == 50 * KIB


@pytest.mark.parametrize("controllers", ["memory", "cpu,memory"])
def test_groups_of_the_first_kind_count_too(tmp_path: Path, controllers: str) -> None:
    root = machine(tmp_path, 500, f"5:cpuset:/other\n4:{controllers}:/mine\n")
    group(root / "sys/fs/cgroup/memory/mine", V1, 400 * KIB, 350 * KIB, 5 * KIB)
    assert free_bytes(root) == 55 * KIB


def test_this_machine_tells() -> None:
    assert 0 < free_bytes() < 1 << 50
