"""Power cuts while a subject is at work: at random moments before it reports success, and in the seconds after.

A file system that nobody syncs keeps what was written in memory for up to 5 (ext4) or 30 seconds (XFS), and may then
write names before contents. On a device, logs and databases sync, and each sync makes the names durable that other
programs had made until then. So there are quiet runs, and busy ones with a *neighbour* that syncs a small file.
"""

import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.power_cuts.disks import FileSystem, Stand
from tests.power_cuts.subjects import ROOT, Found, Subject, Version, run

LONGEST_S = 120.0
LATER = 1.1  # of the time that the last run took: this one may be slower
EVERY_S = 0.1  # the neighbour syncs
MOST_IDLE = 20  # runs in a row that give no cut


class SubjectError(AssertionError):
    """A subject that does not report success when nothing disturbs it: nothing can be said about cuts then."""


@dataclass(frozen=True)
class Cut:
    """One power cut and what the device was left with.

    `moment_s` counts from the start of the subject, or from its report of success where it came `after` it. `busy` is
    True where a neighbour synced beside it.
    """

    moment_s: float
    after: bool
    busy: bool
    version: Version | None
    files: str
    converged: bool

    @property
    def is_without_model(self) -> bool:
        """True where neither version works."""
        return self.version is None

    @property
    def is_lost(self) -> bool:
        """True where what the subject had reported is not there, or no version works."""
        return self.version is None or (self.after and self.version != "B")


class Bench:
    """One subject on one file system, with an image on which version A is installed."""

    def __init__(self, stand: Stand, file_system: FileSystem, subject: Subject, seed: int = 0) -> None:
        self._stand, self._file_system, self._subject = stand, file_system, subject
        self._random = random.Random(f"{file_system.name} {subject.name} {seed}")
        self._prepared = stand.new_image()
        file_system.make(self._prepared)
        with self._mounted(self._prepared) as root:
            subject.prepare(root)
            _require(subject.found(root), "A", subject, "after it was prepared")
        self.takes_s = self._rehearsed()

    def cuts(
        self, before: int, after: int, window_s: float, *, at_once: int, taken: Sequence[Cut] = ()
    ) -> Iterator[Cut]:
        """Yield so many cuts before the subject's success and in the seconds after it, as they are taken.

        Moments are drawn over the time that the subject takes, and over the window that begins with its success; each
        run gives at most `at_once` of both. Quiet and busy runs take turns. `taken` are cuts of earlier runs, which
        count. Raises SubjectError where many runs in a row give none.
        """
        cuts, idle = list(taken), 0
        while True:
            wanted = before - sum(not cut.after for cut in cuts), after - sum(cut.after for cut in cuts)
            if max(wanted) <= 0:
                return
            first, later = (max(0, min(at_once, count)) for count in wanted)
            idle += 1
            for cut in self._run(first, later, window_s, busy=sum(cut.busy for cut in cuts) * 2 < len(cuts)):
                cuts.append(cut)
                idle = 0
                yield cut
            if idle > MOST_IDLE:
                raise SubjectError(f"{self._subject.name}: no cut in {MOST_IDLE} runs: something syncs all the time")

    def _run(self, before: int, after: int, window_s: float, busy: bool) -> Iterator[Cut]:
        """Run the subject once, and yield its cuts; those before its success that came too late are left out.

        Once another program has synced all file systems of this machine, no cut counts any more: what it would show is
        kinder than a device is.
        """
        moments = sorted(self._random.uniform(0, self.takes_s * LATER) for _ in range(before))
        later = sorted(self._random.uniform(0, window_s) for _ in range(after))
        image, taken = self._stand.cut(self._prepared), list[tuple[float, bool, Path]]()
        try:
            with (
                self._stand.witness() as witness,
                self._mounted(image) as root,
                _neighbour(root) if busy else nullcontext(),
                _Running(self._subject, root) as running,
            ):
                for at, is_after in running.moments(moments, later):
                    copy = self._stand.cut(image)
                    if not witness.is_unsynced:
                        copy.unlink()
                        break
                    taken.append((at, is_after, copy))
                self.takes_s = running.succeed()
        finally:
            image.unlink()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(lambda each: self._examined(busy, *each), taken)

    def _rehearsed(self) -> float:
        """Return the seconds to success of an undisturbed run."""
        image = self._stand.cut(self._prepared)
        try:
            with self._mounted(image) as root, _Running(self._subject, root) as running:
                took = running.succeed()
            with self._mounted(image) as root:
                _require(self._subject.found(root), "B", self._subject, "after it reported success")
        finally:
            image.unlink()
        return took

    def _examined(self, busy: bool, moment_s: float, after: bool, image: Path) -> Cut:
        """Give the device its power back, look at it, and let the subject run again."""
        try:
            with self._mounted(image) as root:
                self._subject.boot(root)
                found = self._subject.found(root)
                with suppress(subprocess.CalledProcessError):
                    run(self._subject.command(root))
            with self._mounted(image) as root:
                converged = self._subject.found(root).version == "B"
        except subprocess.CalledProcessError as error:
            found, converged = Found(None, f"{error.cmd[0]}: {error.stderr.strip()}"), False
        finally:
            image.unlink()
        return Cut(moment_s, after, busy, found.version, found.files, converged)

    def _mounted(self, image: Path) -> AbstractContextManager[Path]:
        return self._stand.mounted(image, self._file_system)


class _Running:
    """A subject at work in a process of its own; leaving it waits for its end."""

    def __init__(self, subject: Subject, root: Path) -> None:
        self._subject, self._root = subject, root

    def __enter__(self) -> "_Running":
        self._said: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._subject.command(self._root), cwd=ROOT, stdout=subprocess.PIPE, stderr=self._said, text=True
        )
        self._began = time.monotonic()
        self._succeeded, self._success_at = threading.Event(), 0.0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._process.kill()
        code = self._process.wait(LONGEST_S)
        self._reader.join(LONGEST_S)
        if kind is None and code != 0:
            raise SubjectError(f"{self._subject.name} ended with {code}: {self._errors()}")
        self._said.close()

    @property
    def _age_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def moments(self, before: Sequence[float], after: Sequence[float]) -> Iterator[tuple[float, bool]]:
        """Wait for each moment, and yield when it is and whether success was reported; raises SubjectError.

        `before` count from the start, in order; those that success overtakes are left out. `after` count from success.
        """
        for moment_s in before:
            if self._succeeded.wait(max(0.0, moment_s - self._age_s)):
                break
            yield self._age_s, False
        self.succeed()
        for moment_s in after:
            time.sleep(max(0.0, self._success_at + moment_s - time.monotonic()))
            yield time.monotonic() - self._success_at, True

    def succeed(self) -> float:
        """Wait for the report of success, and return the seconds that it took; raises SubjectError."""
        if not self._succeeded.wait(LONGEST_S) or not self._success_at:
            raise SubjectError(f"{self._subject.name} reported no success: {self._errors()}")
        return self._success_at - self._began

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if self._subject.success in line and not self._success_at:
                self._success_at = time.monotonic()
                self._succeeded.set()
        self._succeeded.set()  # nothing more will be said

    def _errors(self) -> str:
        self._said.seek(0, os.SEEK_SET)
        return self._said.read().decode(errors="replace")[-2000:]


@contextmanager
def _neighbour(root: Path) -> Iterator[None]:
    """Let another program write and sync a small file of its own, again and again."""
    over = threading.Event()

    def work() -> None:
        with (root / "neighbour.log").open("a") as log:
            while not over.is_set():
                log.write("at work\n")
                log.flush()
                os.fsync(log.fileno())
                over.wait(EVERY_S)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _require(found: Found, version: Version, subject: Subject, when: str) -> None:
    if found.version != version:
        raise SubjectError(f"{subject.name}: expected version {version} {when}, got {found}")
