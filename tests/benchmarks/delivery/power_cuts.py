"""Power cuts on real file systems: how often a device is left without a model, ours beside stock tools and a mutant.

`python -m tests.benchmarks.delivery.power_cuts` takes the cuts that are missing and prints the table; `--help` says how
to take fewer, or on some file systems only. Each cut is kept when it is taken, so that an interrupted run goes on.
Needs root, and Debian's packages xfsprogs, eatmydata and mender-client.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from tests.benchmarks.delivery.mender_directory import MODULE, MenderDirectory
from tests.benchmarks.delivery.mender_directory import PACKAGE as MENDER
from tests.benchmarks.delivery.our_install import OurInstall
from tests.benchmarks.delivery.tuf_in_place import TufInPlace
from tests.benchmarks.record import ROOT, Figure
from tests.power_cuts import cutting, disks, subjects
from tests.power_cuts.atomic_writer import AtomicWriter
from tests.power_cuts.cutting import Bench, Cut
from tests.power_cuts.disks import FILE_SYSTEMS, FileSystem, Stand, missing, new_stand
from tests.power_cuts.subjects import Subject, WithoutSync, digest_of_files

TAKEN = ROOT / ".edgewright" / "bench" / "delivery" / "power-cuts"
HARNESS = digest_of_files(*(Path(str(module.__file__)) for module in (cutting, disks, subjects)))
WINDOW_S = 8.0
AT_ONCE = 25  # cuts of a kind in one run of the subject
LEAST_RUNS = 2  # a quiet one and a busy one

Make = Callable[[Path], Subject]
console = Console()


@dataclass(frozen=True)
class Entry:
    """A subject of the table, how many cuts it gets on each file system, and what is asked of it.

    `safe`: no cut may cost it a model or an update that it reported. `caught`: at least half of the cuts after its
    report must, or the harness would miss the fault. `compared`: nothing.
    """

    make: Make
    cuts: int
    asked: str


SUBJECTS: Mapping[str, Entry] = {
    "ours": Entry(OurInstall, 500, "safe"),
    "ours without sync": Entry(lambda work: WithoutSync(OurInstall(work)), 100, "caught"),
    "atomic writer": Entry(lambda _: AtomicWriter(), 100, "safe"),
    "atomic writer without sync": Entry(lambda _: WithoutSync(AtomicWriter()), 100, "caught"),
    "tuf": Entry(TufInPlace, 100, "compared"),
    "mender": Entry(MenderDirectory, 100, "compared"),
}


@dataclass(frozen=True)
class Row:
    """The cuts of one subject on one file system."""

    subject: str
    file_system: str
    asked: str
    cuts: Sequence[Cut]

    @property
    def after(self) -> Sequence[Cut]:
        """The cuts that came after the subject had reported success."""
        return [cut for cut in self.cuts if cut.after]

    @property
    def line(self) -> str:
        """The line of the table."""
        before = len(self.cuts) - len(self.after)
        without = [_of(cut.is_without_model for cut in self.cuts if cut.after is after) for after in (False, True)]
        undone = _of(cut.is_lost and not cut.is_without_model for cut in self.after)
        stuck = _of(not cut.converged for cut in self.cuts)
        return (
            f"| {self.subject} | {self.file_system} | {before} + {len(self.after)} | {without[0]} | {without[1]} | "
            f"{undone} | {stuck} |"
        )


def take(stand: Stand, file_system: FileSystem, subject: Subject, wanted: int, kept: Path) -> int:
    """Take the cuts that are missing until there are `wanted`, half of them before the subject's success.

    Each is kept as soon as it is looked at. Returns how many were taken.
    """
    identity = f"{subject.identity} {HARNESS}"
    half, cuts = wanted // 2, taken(kept, identity)
    if sum(cut.after for cut in cuts) >= wanted - half and sum(not cut.after for cut in cuts) >= half:
        return 0
    at_once = min(AT_ONCE, -(-half // LEAST_RUNS))
    bench = Bench(stand, file_system, subject, seed=len(cuts))
    count = 0
    for cut in bench.cuts(half, wanted - half, WINDOW_S, at_once=at_once, taken=cuts):
        with kept.open("a") as file:
            file.write(json.dumps({"identity": identity, **asdict(cut)}) + "\n")
        count += 1
    return count


def taken(kept: Path, identity: str | None = None) -> list[Cut]:
    """Read the cuts of a file; by default those of the identity that was taken last."""
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    identity = identity or (lines[-1]["identity"] if lines else None)
    return [Cut(**{key: value for key, value in line.items() if key != "identity"})
            for line in lines if line["identity"] == identity]  # fmt: skip


def rows(folder: Path = TAKEN) -> list[Row]:
    """Return what was taken so far."""
    found = [
        Row(name, file_system, entry.asked, taken(_kept(folder, file_system, name)))
        for name, entry in SUBJECTS.items()
        for file_system in FILE_SYSTEMS
    ]
    return [row for row in found if row.cuts]


def figures(found: Sequence[Row]) -> list[Figure]:
    """Return the figures that have a goal; a safe subject without any cut is NaN and holds nothing."""
    result = []
    for name, entry in SUBJECTS.items():
        for file_system in FILE_SYSTEMS:
            row = next((row for row in found if (row.subject, row.file_system) == (name, file_system)), None)
            title = f"power cuts, {name} on {file_system}"
            if entry.asked == "safe":
                result.append(Figure(title, len(row.cuts) if row else float("nan"), entry.cuts, "", "at_least"))
            if row and entry.asked == "safe":
                for what, count in {
                    "without a working model": sum(cut.is_without_model for cut in row.cuts),
                    "a reported update was undone": sum(cut.is_lost for cut in row.after),
                    "another run did not mend": sum(not cut.converged for cut in row.cuts),
                }.items():
                    result.append(Figure(f"{title}: {what}", count, 0, "", "at_most"))
            if row and entry.asked == "caught":
                share = sum(cut.is_lost for cut in row.after) / max(1, len(row.after))
                result.append(Figure(f"{title}: share that is caught after its success", share, 0.5, "", "at_least"))
    return result


def table(found: Sequence[Row]) -> str:
    """Return the table of all subjects."""
    head = (
        "| subject | file system | cuts before + after success | no working model, before | no working model, after | "
        "old model after success | another run did not mend |"
    )
    return "\n".join([head, "| --- " * 7 + "|", *(row.line for row in found)])


def part(_: Path) -> tuple[list[Figure], str]:
    """Take all cuts that are missing; return the figures that have a goal, and the table."""
    take_all(list(SUBJECTS), list(FILE_SYSTEMS))
    found = rows()
    return figures(found), table(found)


def take_all(names: Sequence[str], file_systems: Sequence[str], wanted: int | None = None) -> None:
    """Take the cuts of some subjects on some file systems that are missing; by default as many as are planned."""
    if reason := missing() or _absent():
        sys.exit(reason)
    TAKEN.mkdir(parents=True, exist_ok=True)
    with new_stand() as stand, tempfile.TemporaryDirectory(prefix="power-cuts-work-") as work:
        for name in names:
            subject = SUBJECTS[name].make(Path(work))
            for file_system in file_systems:
                began, kept = time.monotonic(), _kept(TAKEN, file_system, name)
                taking = take(stand, FILE_SYSTEMS[file_system], subject, wanted or SUBJECTS[name].cuts, kept)
                console.print(f"{name} on {file_system}: {taking} more cuts in {time.monotonic() - began:.0f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Take cuts and print the table."""
    options = _parser().parse_args(arguments)
    take_all(options.subjects, options.file_systems, options.cuts)
    console.print(Markdown(table(rows())))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, help="cuts for each subject on each file system; by default as planned")
    for option, names in {"--subjects": list(SUBJECTS), "--file-systems": list(FILE_SYSTEMS)}.items():
        parser.add_argument(option, nargs="+", choices=names, default=names)
    return parser


def _absent() -> str | None:
    if not MODULE.exists():
        return f"there is no {MODULE}; install Debian's package {MENDER}"
    return None if shutil.which("eatmydata") else "there is no eatmydata; install Debian's package eatmydata"


def _kept(folder: Path, file_system: str, subject: str) -> Path:
    return folder / f"{file_system}-{subject.replace(' ', '-')}.jsonl"


def _of(found: Iterable[bool]) -> int:
    return sum(found)


if __name__ == "__main__":
    main()
