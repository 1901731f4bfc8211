"""Publishers and devices for tests: a repository with real keys, stores that fail, and TUF's own client as a reader."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Root
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from tasks.repository import (
    ExpiryPeriods,
    FolderObjects,
    KeyFiles,
    KeyWork,
    ObjectStore,
    Passphrases,
    RootShape,
    SignedRepository,
    utc_now,
)

Answer = TypeVar("Answer")
WORKER, PERSONS = "passphrase of the worker", "passphrase of the persons"
DEVICES = ("camera", "gateway")
URL = "store://"


@dataclass(frozen=True)
class Publisher:
    """A machine with the worker's keys in `folder/keys` and persons' keys in `folder/offline`."""

    folder: Path
    store: ObjectStore

    def repository(self, store: ObjectStore | None = None, clock: Callable[[], datetime] = utc_now) -> SignedRepository:
        """Open the repository, as a new process does."""
        keys = KeyFiles([self.folder / "keys"], Passphrases())
        return SignedRepository(store or self.store, keys, ExpiryPeriods(), None, clock)

    def work(self, store: ObjectStore | None = None, clock: Callable[[], datetime] = utc_now) -> KeyWork:
        """Open what `edgewright keys` works on."""
        return KeyWork(self.repository(store, clock), self.folder / "keys", Passphrases())

    def begin(self, devices: tuple[str, ...] = DEVICES, store: ObjectStore | None = None) -> None:
        """Make keys and repository, as edgewright keys init does."""
        self.work(store).begin(self.offline, RootShape(), devices)

    @property
    def offline(self) -> Path:
        return self.folder / "offline"

    @property
    def persons(self) -> list[Path]:
        """Key folders of two persons of three, which are enough."""
        return [self.offline / "holder-1", self.offline / "holder-3"]


class StoreFetcher(FetcherInterface):
    """Fetches what lies in an object store, as a web server would give it."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def _fetch(self, url: str) -> Iterator[bytes]:
        data = self.store.read(url.removeprefix(URL), 1 << 24)
        if data is None:
            raise DownloadHTTPError("not found", 404)
        yield data


@dataclass(frozen=True)
class Device:
    """A device with a folder of its own, which was shipped with the first root: it uses python-tuf's stock client."""

    folder: Path
    store: ObjectStore
    root: bytes

    @classmethod
    def shipped(cls, folder: Path, store: ObjectStore) -> "Device":
        root = store.read("metadata/1.root.json", 1 << 20)
        assert root is not None
        return cls(folder, store, root)

    def updater(self) -> Updater:
        """Return a client that has refreshed. Raises what TUF's client raises."""
        folders = [self.folder / "metadata", self.folder / "targets"]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        updater = Updater(
            str(folders[0]), f"{URL}metadata/", str(folders[1]), f"{URL}targets/", StoreFetcher(self.store),
            bootstrap=self.root,
        )  # fmt: skip
        updater.refresh()
        return updater

    def manifest(self, model: str = "m", device: str = "camera") -> bytes | None:
        """Return the verified manifest that is offered; None where nothing is."""
        updater = self.updater()
        info = updater.get_targetinfo(f"{model}/{device}/manifest.json")
        return None if info is None else Path(updater.download_target(info)).read_bytes()


class Killed(BaseException):
    """The end of a process in the middle of a call."""


@dataclass
class FaultyStore:
    """A store that ends the process at one of its calls, before the call or after it did its work."""

    inner: ObjectStore
    at: int | None = None
    after: bool = False
    calls: list[str] = field(default_factory=list)
    fired: bool = False
    beside: Callable[[str], None] | None = None
    """Somebody else's work, done before each call that creates or replaces; gets the name."""

    @property
    def address(self) -> str:
        return self.inner.address

    def create(self, name: str, content: bytes | Path) -> bool:
        return self._call("create", name, lambda: self.inner.create(name, content))

    def replace(self, name: str, content: bytes, over: bytes | None) -> bool:
        return self._call("replace", name, lambda: self.inner.replace(name, content, over))

    def read(self, name: str, most_bytes: int) -> bytes | None:
        return self._call("read", name, lambda: self.inner.read(name, most_bytes))

    def fetch(self, name: str, path: Path) -> bool:
        return self._call("fetch", name, lambda: self.inner.fetch(name, path))

    def names(self, folder: str) -> list[str]:
        return self._call("names", folder, lambda: self.inner.names(folder))

    def size(self, name: str) -> int | None:
        return self._call("size", name, lambda: self.inner.size(name))

    def remove(self, name: str) -> None:
        self._call("remove", name, lambda: self.inner.remove(name))

    def tidy(self, folder: str) -> None:
        self._call("tidy", folder, lambda: self.inner.tidy(folder))

    def _call(self, kind: str, name: str, work: Callable[[], Answer]) -> Answer:
        number = len(self.calls)
        self.calls.append(f"{kind} {name}")
        if self.beside is not None and kind in ("create", "replace"):
            self.beside(name)
        if number == self.at and not self.after:
            self._end()
        answer = work()
        if number == self.at:
            self._end()
        return answer

    def _end(self) -> None:
        self.fired = True
        raise Killed


def killed_at_each_call(
    fresh: Callable[[], Publisher], work: Callable[[Publisher, ObjectStore], Any]
) -> Iterator[tuple[Publisher, str]]:
    """Do some work on fresh repositories, each time ended at another call of the store; yield what is left.

    The work is ended before and after each call that changes something: a call that only reads leaves what the call
    before it left. The text says which call it was. Every fault is asserted to have fired.
    """
    counting = fresh()
    counted = FaultyStore(counting.store)
    work(counting, counted)
    assert any(call.startswith("create") for call in counted.calls)
    for at, call in enumerate(counted.calls):
        for after in (False, True) if call.startswith(("create", "replace", "remove", "tidy")) else ():
            publisher = fresh()
            faulty = FaultyStore(publisher.store, at, after)
            try:
                work(publisher, faulty)
            except Killed:
                assert faulty.fired
            else:
                raise AssertionError(f"{call}: the fault did not fire")
            yield publisher, f"{'after' if after else 'before'} {call}"


def folder_store(folder: Path) -> ObjectStore:
    """Return a folder as a store."""
    return FolderObjects(folder)


def key_of(publisher: Publisher, role: str) -> str:
    """Return the id of a role's one key."""
    state = publisher.repository().reader.state()
    delegator = state.targets.signed if role.startswith("device-") else state.root.signed
    return str(delegator.get_delegated_role(role).keyids[0])


def root_of(publisher: Publisher) -> Root:
    """Return the newest root."""
    return publisher.repository().reader.root().signed


def rotate(work: KeyWork, role: str, publisher: Publisher) -> list[str]:
    """Replace all keys of a role, as edgewright keys rotate does."""
    return work.rotate(role, publisher.persons, publisher.folder / "offline-2", None)
