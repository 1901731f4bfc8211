"""Stages: computed once, and again when the result is no longer what it was."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.files import sha256_of
from tasks.store import cache_keys as digests
from tasks.store import digest_of
from tasks.store.stage_store import RESULT, StageResult, StageStore
from tasks.store.work_folders import clean_leftovers

CODE = ("tasks.store.stage_store",)


class Stage:
    """A stage that counts how often it is computed."""

    def __init__(self, root: Path) -> None:
        self.store = StageStore(root)
        self.computed = 0

    def run(self, **inputs: object) -> StageResult:
        return self.store.run("work", inputs, CODE, self._produce)

    def _produce(self, folder: Path) -> dict[str, object]:
        self.computed += 1
        (folder / "weights.bin").write_bytes(b"weights")
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "rows.bin").write_bytes(b"rows")
        return {"accuracy": 0.5, "kept": (1, 2)}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_result_has_value_files_and_cost(stage: Stage) -> None:
    result = stage.run(ratio=0.2)
    assert result.value == {"accuracy": 0.5, "kept": [1, 2]}
    assert (result.folder / "weights.bin").read_bytes() == b"weights"
    assert (result.folder / "deep/er/rows.bin").read_bytes() == b"rows"
    assert result.folder.parent == stage.store.root / "work"
    assert result.seconds > 0
    assert not result.reused


def test_what_finished_is_not_computed_again(stage: Stage) -> None:
    first = stage.run(ratio=0.2)
    second = StageStore(stage.store.root).run("work", {"ratio": 0.2}, CODE, lambda _: pytest.fail("computed"))
    assert second.reused
    assert (second.value, second.folder, second.digest, second.key) == (
        first.value,
        first.folder,
        first.digest,
        first.key,
    )
    assert second.seconds == first.seconds


def test_other_inputs_are_another_result(stage: Stage) -> None:
    results = [stage.run(ratio=0.2), stage.run(ratio=0.3), stage.run(ratio=0.2, rounds=1)]
    assert stage.computed == 3
    assert len({result.folder for result in results}) == 3
    assert len({result.digest for result in results}) == 1  # what came out is the same


def test_other_code_and_other_libraries_are_another_result(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.run()
    stage.store.run("work", {}, ("tasks.errors",), stage._produce)
    monkeypatch.setattr(digests, "_libraries", lambda: (("torch", "0.1"),))
    stage.run()
    assert stage.computed == 3


def _edit_value(folder: Path) -> None:
    path = folder / RESULT
    path.write_text(path.read_text().replace('"accuracy": 0.5', '"accuracy": 0.9'))


def _without(key: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        record = json.loads((folder / RESULT).read_text())
        del record[key]
        (folder / RESULT).write_text(json.dumps(record))

    return damage


def _swap(folder: Path) -> None:
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "file gone": lambda folder: (folder / "weights.bin").unlink(),
    "deep file gone": lambda folder: (folder / "deep/er/rows.bin").unlink(),
    "file changed": lambda folder: (folder / "weights.bin").write_bytes(b"weightz"),
    "file cut": lambda folder: os.truncate(folder / "deep/er/rows.bin", 1),
    "file now a folder": _swap,
    "result gone": lambda folder: (folder / RESULT).unlink(),
    "result empty": lambda folder: (folder / RESULT).write_text(""),
    "result cut": lambda folder: os.truncate(folder / RESULT, 20),
    "result no text": lambda folder: (folder / RESULT).write_bytes(b"\xff\xfe"),
    "result a list": lambda folder: (folder / RESULT).write_text("[]"),
    "result of nothing": lambda folder: (folder / RESULT).write_text("{}"),
    "value changed": _edit_value,
    "value gone": _without("value"),
    "files gone": _without("files"),
    "seconds gone": _without("seconds"),
    "digest gone": _without("digest"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_result_is_computed_again(stage: Stage, warned: list[str], damage: Callable[[Path], object]) -> None:
    first = stage.run()
    before = contents(first.folder)
    damage(first.folder)
    assert contents(first.folder) != before
    second = stage.run()
    assert (second.reused, second.digest, stage.computed) == (False, first.digest, 2)
    assert len(warned) == 1
    assert "work: a stored result is damaged or incomplete" in warned[0]
    assert stage.run().reused


def test_an_undamaged_result_is_not_warned_about(stage: Stage, warned: list[str]) -> None:
    stage.run()
    stage.run()
    assert warned == []


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_exception_leaves_nothing(stage: Stage, error: BaseException) -> None:
    def produce(folder: Path) -> None:
        (folder / "half.bin").write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        stage.store.run("work", {}, CODE, produce)
    assert list((stage.store.root / "work").iterdir()) == []
    assert not stage.run().reused


def test_a_value_that_is_no_json_leaves_nothing(stage: Stage) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        stage.store.run("work", {}, CODE, lambda _: object())
    assert list((stage.store.root / "work").iterdir()) == []


@pytest.mark.parametrize("value", [None, 3, "text", [1, [2.5]], {"10": 1, "9": float("inf")}])
def test_any_json_value_comes_back(stage: Stage, value: object) -> None:
    assert stage.store.run("work", {}, CODE, lambda _: value).value == value
    assert stage.store.run("work", {}, CODE, lambda _: pytest.fail("computed")).value == value


def test_numbers_as_keys_come_back_as_text(stage: Stage) -> None:
    assert stage.store.run("work", {}, CODE, lambda _: {10: "ten", 9: "nine"}).value == {"9": "nine", "10": "ten"}


def test_everything_is_on_disk_before_the_rename(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, str]] = []
    fsync, rename = os.fsync, Path.rename

    def spy_fsync(descriptor: int) -> None:
        events.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def spy_rename(path: Path, target: Path) -> Path:
        events.append(("rename", path.name))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "rename", spy_rename)
    result = stage.run()
    (at,) = [index for index, (what, _) in enumerate(events) if what == "rename"]
    work = events[at][1]
    synced = [name for what, name in events[:at] if what == "sync"]
    assert {"weights.bin", "deep", "er", "rows.bin", RESULT, work} <= set(synced)
    assert synced[-2:] == [RESULT, work]
    assert events[at + 1 :] == [("sync", "work")]
    assert work != result.folder.name


def test_a_result_that_another_process_was_first_with_is_taken(stage: Stage) -> None:
    first = stage.run()

    def produce(folder: Path) -> dict[str, object]:
        first.folder.with_name("aside").rename(first.folder)  # the other process finishes in the meantime
        return stage._produce(folder)

    first.folder.rename(first.folder.with_name("aside"))
    second = stage.store.run("work", {}, CODE, produce)
    assert second.folder == first.folder
    assert second.seconds == first.seconds
    assert [path.name for path in (stage.store.root / "work").iterdir()] == [first.key]


def test_leftovers_are_removed_and_results_are_kept(stage: Stage) -> None:
    result = stage.run()
    leftover = stage.store.root / "work" / f".tmp-{result.key}-00aa"
    leftover.mkdir()
    (leftover / "half.bin").write_bytes(b"half")
    clean_leftovers(stage.store.root)
    assert not leftover.exists()
    assert stage.run().reused


def test_cleaning_a_store_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    clean_leftovers(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_names_a_file_outside_is_computed_again(stage: Stage) -> None:
    result = stage.run()
    outside = stage.store.root / "outside.bin"
    outside.write_bytes(b"somebody else's")
    record = json.loads((result.folder / RESULT).read_text())
    record["files"]["../../outside.bin"] = sha256_of(outside)
    del record["digest"]
    (result.folder / RESULT).write_text(json.dumps(record | {"digest": digest_of(record)}))
    assert not stage.run().reused
