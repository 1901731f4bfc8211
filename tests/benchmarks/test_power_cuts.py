"""The table of power cuts: cuts are kept, go on after an interruption, and are held against their goals."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.benchmarks.delivery import power_cuts
from tests.benchmarks.delivery.mender_directory import MODULE, MenderDirectory
from tests.benchmarks.delivery.power_cuts import Row, figures, table, take, taken
from tests.benchmarks.delivery.tuf_in_place import TufInPlace
from tests.power_cuts.atomic_writer import AtomicWriter
from tests.power_cuts.cutting import Bench, Cut
from tests.power_cuts.disks import FILE_SYSTEMS, Stand, new_stand, require
from tests.power_cuts.subjects import Subject

EXT4 = FILE_SYSTEMS["ext4"]
KEPT = Cut(0.1, after=True, busy=False, version="B", files="", converged=True)
UNDONE, BRICKED = replace(KEPT, version="A"), replace(KEPT, version=None, converged=False)


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    require()
    with new_stand() as made:
        yield made


def test_cuts_are_taken_until_there_are_enough(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_cuts, "WINDOW_S", 0.2)
    kept, subject = tmp_path / "kept.jsonl", AtomicWriter()
    kept.write_text(json.dumps({"identity": "of an older program", **asdict(BRICKED)}) + "\n")
    take(stand, EXT4, subject, 4, kept)
    cuts = taken(kept)
    assert sorted(cut.after for cut in cuts) == [False, False, True, True]
    assert {cut.busy for cut in cuts} == {False, True}
    before = kept.read_text()
    take(stand, EXT4, subject, 4, kept)
    assert kept.read_text() == before
    kept.write_text("".join(before.splitlines(keepends=True)[:-1]))
    take(stand, EXT4, subject, 4, kept)
    assert len(taken(kept)) == 4


@pytest.mark.parametrize("make", [TufInPlace, MenderDirectory])
def test_the_stock_tools_bring_the_new_version_where_no_power_is_cut(
    stand: Stand, tmp_path: Path, make: type[TufInPlace] | type[MenderDirectory]
) -> None:
    if make is MenderDirectory:
        require(str(MODULE))
    subject: Subject = make(tmp_path)
    assert Bench(stand, EXT4, subject).takes_s > 0  # it raises where A or B is not there after an undisturbed run


def test_a_model_or_an_update_that_is_lost_holds_no_goal() -> None:
    safe = Row("atomic writer", "ext4", "safe", [KEPT, UNDONE, BRICKED])
    caught = Row("atomic writer without sync", "ext4", "caught", [KEPT, UNDONE, BRICKED, replace(KEPT, after=False)])
    found = {figure.figure: figure for figure in figures([safe, caught])}
    of_safe = "power cuts, atomic writer on ext4"
    assert [found[f"{of_safe}{what}"].value for what in (
        "", ": without a working model", ": a reported update was undone", ": another run did not mend"
    )] == [3, 1, 2, 1]  # fmt: skip
    assert not any(figure.holds for title, figure in found.items() if title.startswith(of_safe))
    caught_share = found["power cuts, atomic writer without sync on ext4: share that is caught after its success"]
    assert caught_share.value == pytest.approx(2 / 3) and caught_share.holds
    assert math.isnan(found["power cuts, atomic writer on xfs"].value)


def test_the_table_has_a_line_for_each_subject_and_file_system() -> None:
    row = Row("tuf", "xfs", "compared", [KEPT, UNDONE, BRICKED, replace(BRICKED, after=False)])
    assert table([row]).splitlines()[-1] == "| tuf | xfs | 1 + 3 | 1 | 1 | 1 | 2 |"
