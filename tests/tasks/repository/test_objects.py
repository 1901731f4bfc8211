"""Object stores: names that are created once, and one that is compared before it is replaced. Folder and S3 alike."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.errors import SystemFailure
from tasks.repository import FolderObjects, ObjectStore, open_store
from tests.tasks.processes import line, running


def test_a_name_is_created_once(store: ObjectStore) -> None:
    assert store.create("a/b.json", b"one")
    assert not store.create("a/b.json", b"two")
    assert store.read("a/b.json", 3) == b"one" and store.size("a/b.json") == 3


def test_of_many_who_create_a_name_at_once_one_does(store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: store.create("a/b.json", str(number).encode()), range(24)))
    assert sum(got) == 1
    assert store.read("a/b.json", 10) == str(got.index(True)).encode()


def test_a_file_is_created_and_fetched_whole(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 << 20))
    assert store.create("blobs/large", source)
    assert not store.create("blobs/large", source)
    assert store.fetch("blobs/large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert not store.fetch("blobs/none", tmp_path / "none") and not (tmp_path / "none").exists()


def test_nothing_is_there_before(store: ObjectStore) -> None:
    assert store.read("a/b.json", 3) is None and store.size("a/b.json") is None and store.names("a") == []
    store.remove("a/b.json")


def test_an_object_that_is_longer_than_its_kind_is_told(store: ObjectStore) -> None:
    store.create("a/b.json", b"four")
    with pytest.raises(SystemFailure, match="expected at most 3 bytes"):
        store.read("a/b.json", 3)


def test_a_name_is_replaced_only_over_what_was_seen(store: ObjectStore) -> None:
    assert not store.replace("a.json", b"2", over=b"1")
    assert store.replace("a.json", b"1", over=None)
    assert not store.replace("a.json", b"2", over=None)
    assert not store.replace("a.json", b"2", over=b"0")
    assert store.replace("a.json", b"2", over=b"1")
    assert store.read("a.json", 1) == b"2"


def test_of_many_who_replace_a_name_at_once_one_does(store: ObjectStore) -> None:
    store.replace("a.json", b"seen", over=None)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: store.replace("a.json", str(number).encode(), over=b"seen"), range(24)))
    assert sum(got) == 1
    assert store.read("a.json", 10) == str(got.index(True)).encode()


def test_a_folder_lists_its_own_names_in_order(store: ObjectStore) -> None:
    for name in ("a/2", "a/1", "a/b/3", "a/.hidden", "ab/4"):
        store.create(name, b"x")
    assert store.names("a") == ["1", "2"] and store.names("a/b") == ["3"]
    store.remove("a/1")
    assert store.names("a") == ["2"]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a//b", "a/", "a b", "a/./b", "a?versionId=1"])
def test_a_name_that_could_be_read_as_another_is_refused(store: ObjectStore, name: str) -> None:
    with pytest.raises(SystemFailure, match="expected the name of an object"):
        store.create(name, b"x")


WRITER = """
    import os
    import sys
    from pathlib import Path
    from tasks.repository import FolderObjects

    def told(*_, **__):
        print("waits", flush=True)
        sys.stdin.readline()

    setattr(os, sys.argv[2], told)
    store = FolderObjects(Path(sys.argv[1]))
    store.create("a/b.json", b"one") if sys.argv[2] == "link" else store.replace("a/b.json", b"one", over=None)
"""


@pytest.mark.parametrize("step", ["link", "replace"])
def test_a_killed_writer_leaves_nothing_but_what_is_tidied(tmp_path: Path, step: str) -> None:
    store = FolderObjects(tmp_path)
    with running(WRITER, tmp_path, step) as process:
        assert line(process) == "waits"
        store.tidy("a")
        assert len(list(tmp_path.rglob(".tmp-*"))) == 1  # its writer lives
        process.kill()
        process.wait()
    assert store.read("a/b.json", 10) is None and store.names("a") == []
    store.tidy("a")
    assert not list(tmp_path.rglob(".tmp-*"))
    assert store.replace("a/b.json", b"two", over=None)  # the kernel freed the lock


def test_the_lock_of_a_folder_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.repository.objects.LOCK_S", 0.05)
    store, inside, done = FolderObjects(tmp_path), threading.Event(), threading.Event()

    def held(*_: object) -> None:
        inside.set()
        done.wait(30)

    monkeypatch.setattr("os.replace", held)
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(store.replace, "a.json", b"1", None)
        assert inside.wait(30)
        try:
            with pytest.raises(SystemFailure, match=r"expected its holder to be done within 0\.05 s"):
                store.replace("a.json", b"2", None)
        finally:
            done.set()
            holder.result()


@pytest.mark.timeout(60)
def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    store = FolderObjects(tmp_path)
    os.mkfifo(tmp_path / "waiting")
    (tmp_path / "linked").symlink_to("/etc/passwd")
    for name in ("waiting", "linked"):
        with pytest.raises(SystemFailure, match=rf"{name}: expected a file that can be read"):
            store.read(name, 10)
        assert not store.create(name, b"x")


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SystemFailure, match="cannot be written to"):
        FolderObjects(tmp_path / "file").create("a/b.json", b"x")
    with pytest.raises(SystemFailure, match="cannot be written to"):
        FolderObjects(tmp_path / "file").replace("b.json", b"x", over=None)


class TestStoresInS3:
    """S3 alone: conditions that a store must honour, and errors of the network."""

    @pytest.fixture(autouse=True)
    def keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("s3fs", reason="S3 needs the extra s3: pip install -e '.[dev]'")
        from tests.tasks.repository.s3_server import KEYS

        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)

    @pytest.mark.parametrize("ignored", ["HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"])
    def test_a_store_that_ignores_conditions_is_refused(self, monkeypatch: pytest.MonkeyPatch, ignored: str) -> None:
        from tests.tasks.repository.s3_server import BUCKET, ignoring, s3_server

        with s3_server(ignoring(ignored)) as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
            store = open_store(f"s3://{BUCKET}/prefix")
            writes: list[Callable[[], bool]] = [
                lambda: store.create("a.json", b"x"), lambda: store.replace("a.json", b"x", over=None),
            ]  # fmt: skip
            for write in writes:
                with pytest.raises(SystemFailure, match="expected a store that honours If-None-Match and If-Match"):
                    write()
            assert store.read("a.json", 10) is None and store.names(".probes") == []

    @pytest.mark.slow
    def test_a_large_object_is_created_once(
        self, s3_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from tests.tasks.repository.s3_server import BUCKET

        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_address)
        (tmp_path / "one").write_bytes(bytes(101 << 20))  # beyond that it is sent in parts
        (tmp_path / "two").write_bytes(b"x" * (101 << 20))
        store = open_store(f"s3://{BUCKET}/{tmp_path.name}")
        assert store.create("blob", tmp_path / "one") and not store.create("blob", tmp_path / "two")
        assert store.fetch("blob", tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == bytes(101 << 20)

    def test_a_bucket_that_is_missing_is_told(self, s3_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_address)
        with pytest.raises(SystemFailure, match=r"expected to write it: .*; see the bucket"):
            open_store("s3://nowhere/prefix").create("a.json", b"x")

    def test_an_address_without_a_bucket_is_refused(self) -> None:
        with pytest.raises(SystemFailure, match="got no bucket"):
            open_store("s3://")


def test_without_the_packages_of_s3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tasks.repository.s3_objects", None)
    with pytest.raises(SystemFailure, match=r"pip install 'edgewright\[s3\]'"):
        open_store("s3://bucket")
