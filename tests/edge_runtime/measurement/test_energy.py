"""Energy of calls from counters in a folder like that of Linux: summed, over their end, and absent as a whole."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edge_runtime.measurement.energy import POWERCAP, CallEnergy, energy_of_calls

ABSENT = CallEnergy(None, None)
RANGE_UJ = 1_000_000


def zone(root: Path, place: str, name: str, microjoules: int = 0) -> Path:
    folder = root / place
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder


def working(root: Path, taken: Mapping[str, int]) -> Callable[[], None]:
    """Return a call by which the counters of zones grow by so many microjoules, and begin again behind their range."""

    def call() -> None:
        for place, microjoules in taken.items():
            counter = root / place / "energy_uj"
            counter.write_text(f"{(int(counter.read_text()) + microjoules) % RANGE_UJ}\n")

    return call


def test_packages_are_summed_and_memory_is_told_beside_them(tmp_path: Path) -> None:
    for number in (0, 1):
        zone(tmp_path, f"intel-rapl:{number}", f"package-{number}", 700)
        zone(tmp_path, f"intel-rapl:{number}:0", "core", 100)
        zone(tmp_path, f"intel-rapl:{number}:1", "dram", 20)
    zone(tmp_path, "intel-rapl:2", "psys")  # counts what the others count
    zone(tmp_path, "intel-rapl-mmio:0", "package-0")  # the first package by another way
    call = working(
        tmp_path,
        {
            "intel-rapl:0": 5000, "intel-rapl:1": 3000, "intel-rapl:0:0": 4000, "intel-rapl:0:1": 250,
            "intel-rapl:1:1": 50, "intel-rapl:2": 90_000, "intel-rapl-mmio:0": 5000,
        },
    )  # fmt: skip
    assert energy_of_calls(call, 0, tmp_path) == CallEnergy(packages_mj=8.0, memory_mj=0.3)


def test_it_is_the_energy_of_one_of_many_calls(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0")
    made: list[None] = []

    def call() -> None:
        made.append(working(tmp_path, {"intel-rapl:0": 40})())

    assert energy_of_calls(call, 0.01, tmp_path).packages_mj == pytest.approx(0.04)
    assert len(made) > 1


def test_a_counter_that_begins_again_is_followed(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 2000)
    spent = energy_of_calls(working(tmp_path, {"intel-rapl:0": 5000}), 0, tmp_path)
    assert int((tmp_path / "intel-rapl:0" / "energy_uj").read_text()) == 3000  # it did begin again
    assert spent.packages_mj == 5.0


def test_memory_of_some_packages_alone_is_not_told(tmp_path: Path) -> None:
    for number in (0, 1):
        zone(tmp_path, f"intel-rapl:{number}", f"package-{number}")
    zone(tmp_path, "intel-rapl:0:0", "dram")
    call = working(tmp_path, {"intel-rapl:0": 1000, "intel-rapl:1": 1000, "intel-rapl:0:0": 500})
    assert energy_of_calls(call, 0, tmp_path) == CallEnergy(2.0, None)


def test_nothing_is_called_without_a_counter(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:2", "psys")
    assert energy_of_calls(lambda: pytest.fail("called"), 0, tmp_path) == ABSENT
    assert energy_of_calls(lambda: pytest.fail("called"), 0, tmp_path / "absent") == ABSENT


@pytest.mark.parametrize("unreadable", ["intel-rapl:0", "intel-rapl:1"])
def test_one_counter_that_may_not_be_read_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unreadable: str
) -> None:
    for number in (0, 1):
        zone(tmp_path, f"intel-rapl:{number}", f"package-{number}")
    refused = []
    read_text = Path.read_text

    def as_not_root(path: Path) -> str:
        if path == tmp_path / unreadable / "energy_uj":
            refused.append(path)
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path)

    monkeypatch.setattr(Path, "read_text", as_not_root)  # root reads whatever its permissions are
    assert energy_of_calls(lambda: pytest.fail("called"), 0, tmp_path) == ABSENT
    assert refused


def test_a_counter_that_ends_meanwhile_leaves_none(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0") / "energy_uj"
    assert energy_of_calls(counter.unlink, 0, tmp_path) == ABSENT
    assert not counter.exists()


def test_a_counter_that_does_not_move_is_none(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 77)
    assert energy_of_calls(lambda: None, 0, tmp_path) == ABSENT


def test_a_counter_without_a_number_is_none(tmp_path: Path) -> None:
    (zone(tmp_path, "intel-rapl:0", "package-0") / "energy_uj").write_text("\n")
    assert energy_of_calls(lambda: pytest.fail("called"), 0, tmp_path) == ABSENT


def test_this_machine_has_a_figure_or_none() -> None:
    found = energy_of_calls(lambda: None, 0.01)
    assert found == ABSENT or (POWERCAP.exists() and found.packages_mj is not None and found.packages_mj > 0)
