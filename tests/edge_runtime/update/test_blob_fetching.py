import hashlib
import random
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.deltas import EMPTY, encode_delta
from edge_runtime.errors import UpdateError
from edge_runtime.update import BlobFetching, FetchedBlobs, HeldBack, HttpCarrier, RefusedDeltas, Unreachable
from tests.edge_runtime.update.clocks import FakeClock
from tests.edge_runtime.update.loopback_server import LoopbackServer
from tests.edge_runtime.update.offers import Blob, Delta, drifted, offered_blob, offered_delta

MakeCarrier = Callable[..., HttpCarrier]
OLD = random.Random(3).randbytes(200_000)
NEW = drifted(OLD, seed=4)
OTHER = random.Random(5).randbytes(50_000)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder of blobs that has the old one."""
    folder = tmp_path / "blobs"
    folder.mkdir()
    (folder / hashlib.sha256(OLD).hexdigest()).write_bytes(OLD)
    return folder


@pytest.fixture
def fetching(carrier: HttpCarrier, store: Path, tmp_path: Path) -> BlobFetching:
    return BlobFetching(carrier, store, RefusedDeltas(tmp_path / "refused.json"))


@pytest.fixture
def new(server: LoopbackServer) -> Blob:
    return offered_blob(server, NEW)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The delta from the old blob to the new one."""
    folder = tmp_path_factory.mktemp("encoded")
    (folder / "old").write_bytes(OLD)
    (folder / "new").write_bytes(NEW)
    made = encode_delta(folder / "old", folder / "new")
    assert made is not None
    return made


@pytest.fixture
def delta(server: LoopbackServer, new: Blob, encoded: bytes) -> Delta:
    return offered_delta(server, encoded, hashlib.sha256(OLD).hexdigest(), new.sha256)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_blobs_that_are_there_are_not_fetched(fetching: BlobFetching, server: LoopbackServer, store: Path) -> None:
    old, other = offered_blob(server, OLD), offered_blob(server, OTHER)
    found = fetching.fetch([old, other, other], [])
    assert (found.reused, found.whole, found.by_delta) == (1, 1, 0)
    assert server.paths == [f"blobs/{other.sha256}"]
    assert _names(store) == {old.sha256, other.sha256}
    assert (store / other.sha256).stat().st_mode & 0o777 == 0o444


def test_a_damaged_blob_is_fetched_again(
    fetching: BlobFetching, server: LoopbackServer, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = offered_blob(server, OLD)
    (store / old.sha256).write_bytes(b"?" + OLD[1:])
    assert fetching.fetch([old], []).whole == 1
    assert (store / old.sha256).read_bytes() == OLD
    assert "damaged" in caplog.text


def test_a_delta_is_fetched_in_place_of_the_blob(
    fetching: BlobFetching, server: LoopbackServer, store: Path, new: Blob, delta: Delta
) -> None:
    found = fetching.fetch([new], [delta])
    assert (found.by_delta, found.whole) == (1, 0)
    assert (store / new.sha256).read_bytes() == NEW
    assert server.sent == delta.size < new.size / 2
    assert len(_names(store)) == 2


def test_a_delta_without_a_base_is_the_compressed_blob(
    fetching: BlobFetching, server: LoopbackServer, store: Path, tmp_path: Path
) -> None:
    (tmp_path / "text").write_bytes(b"weights" * 5000)
    blob = offered_blob(server, b"weights" * 5000)
    made = encode_delta(None, tmp_path / "text")
    assert made is not None
    assert fetching.fetch([blob], [offered_delta(server, made, EMPTY, blob.sha256)]).by_delta == 1
    assert (store / blob.sha256).read_bytes() == b"weights" * 5000


@pytest.mark.parametrize("damage", ["absent", "damaged"])
def test_a_delta_whose_base_is_not_intact_is_not_fetched(
    fetching: BlobFetching, server: LoopbackServer, store: Path, new: Blob, delta: Delta, damage: str
) -> None:
    base = store / delta.base
    base.unlink() if damage == "absent" else base.write_bytes(b"?" + OLD[1:])
    assert fetching.fetch([new], [delta]).whole == 1
    assert server.paths == [f"blobs/{new.sha256}"]


def test_a_delta_that_makes_something_else_is_refused_once_and_for_all(
    fetching: BlobFetching, server: LoopbackServer, store: Path, new: Blob, delta: Delta,
    caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    wrong = bytearray(server.files[f"blobs/{delta.sha256}"])
    wrong[-5] ^= 1
    bad = offered_delta(server, bytes(wrong), delta.base, delta.blob)
    found = fetching.fetch([new], [bad])
    assert (found.by_delta, found.whole, found.deltas_refused) == (0, 1, 1)
    assert "in vain" in caplog.text
    (store / new.sha256).unlink()
    found = fetching.fetch([new], [bad])
    assert (found.whole, found.deltas_refused) == (1, 0)
    assert server.paths == [f"blobs/{sha}" for sha in (bad.sha256, new.sha256, new.sha256)]
    assert (store / new.sha256).read_bytes() == NEW


def test_a_delta_that_the_server_lacks_is_no_obstacle(
    fetching: BlobFetching, server: LoopbackServer, new: Blob, delta: Delta
) -> None:
    del server.files[f"blobs/{delta.sha256}"]
    assert fetching.fetch([new], [delta]).whole == 1


def test_the_smallest_delta_is_taken(fetching: BlobFetching, server: LoopbackServer, new: Blob, delta: Delta) -> None:
    larger = offered_delta(server, bytes(delta.size + 1), delta.base, delta.blob)
    assert fetching.fetch([new], [larger, delta]).by_delta == 1
    assert server.paths == [f"blobs/{delta.sha256}"]


def test_a_delta_that_is_larger_than_what_is_left_of_the_blob_is_not_fetched(
    fetching: BlobFetching, server: LoopbackServer, store: Path, new: Blob, delta: Delta
) -> None:
    (store / f".{new.sha256}.part").write_bytes(NEW[: new.size - delta.size + 1])
    fetching.fetch([new], [delta])
    assert server.paths == [f"blobs/{new.sha256}"]


def test_an_unreachable_server_ends_the_run(
    fetching: BlobFetching, server: LoopbackServer, new: Blob, delta: Delta
) -> None:
    server.plan(lambda handler, _: handler.answer(503, b""))
    with pytest.raises(Unreachable):
        fetching.fetch([new], [delta])
    assert len(server.fired) == 1


def test_the_cap_ends_the_run_and_the_next_day_goes_on(
    make_carrier: MakeCarrier, server: LoopbackServer, clock: FakeClock, store: Path, tmp_path: Path, new: Blob
) -> None:
    def fetch() -> FetchedBlobs:
        carrier = make_carrier(bytes_per_day=120_000)
        try:
            return BlobFetching(carrier, store, RefusedDeltas(tmp_path / "refused.json")).fetch([new], [])
        finally:
            carrier.close()

    for _ in range(2):
        with pytest.raises(HeldBack):
            fetch()
        assert 110_000 < server.sent < 120_000
    clock.passes(86_400)
    assert fetch().whole == 1
    assert server.sent == new.size


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    fetching: BlobFetching, server: LoopbackServer, new: Blob, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(OSError, match="free bytes"):
        fetching.fetch([new], [])
    assert not server.asked


def test_a_server_with_another_blob_is_an_error(fetching: BlobFetching, server: LoopbackServer, new: Blob) -> None:
    server.files[f"blobs/{new.sha256}"] = bytes(new.size)
    with pytest.raises(UpdateError, match="expected a file with the sha256"):
        fetching.fetch([new], [])


def test_what_was_begun_for_other_releases_is_removed(
    fetching: BlobFetching, store: Path, new: Blob, delta: Delta
) -> None:
    kept = {f".{new.sha256}.part", f".{new.sha256}.part.json", f".{delta.sha256}.part", delta.base}
    for name in (*kept - {delta.base}, f".{'0' * 64}.part", f".{'0' * 64}.part.json", f".{'1' * 64}.part-made"):
        (store / name).touch()
    fetching.clean([new], [delta])
    assert _names(store) == kept


@pytest.mark.parametrize("content", ["{", "{}", '["a", 1]'])
def test_a_strange_list_of_refused_deltas_counts_as_far_as_it_goes(tmp_path: Path, content: str) -> None:
    (tmp_path / "refused.json").write_text(content)
    refused = RefusedDeltas(tmp_path / "refused.json")
    assert "b" not in refused
    refused.add("b")
    assert "b" in RefusedDeltas(tmp_path / "refused.json")
