"""Destinations: one bundle for each content, and release numbers that only one holder can take."""

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle import TensorSpec, read_bundle, write_bundle
from edge_runtime.settings import SessionSettings
from tasks.delivery import BundleContent, Destination, FolderDestination
from tests.edge_runtime.models import linear_model

ORIGIN = {"source_version": "1", "run_key": "k"}
ADA = {"approved_by": "Ada", "approval_reason": "so", "approved_until": "2999-01-01", "approved_verdict": "v"}
APPROVED = ORIGIN | ADA | {"verdict": "overridden"}
TENSOR = (TensorSpec("x", "float32", (None, 3)),)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "model.onnx", 3)


def written(file: Path, lineage: dict[str, str], **changes: Any) -> Path:
    said: dict[str, Any] = {"model": "m", "version": "1", "device": "bench", "session": SessionSettings(threads=1)}
    return write_bundle(
        file.parent / "target", entry="model.onnx", inputs=TENSOR, outputs=TENSOR, lineage=lineage,
        files={"model.onnx": file}, **(said | changes),
    )  # fmt: skip


def supersede(bundle: Path) -> list[str]:
    return [Path(address).name for address in FolderDestination(bundle.parents[2]).supersede(str(bundle))]


def beside(bundle: Path) -> set[Path]:
    return set(bundle.parent.iterdir())


def test_a_newer_approval_takes_the_place_of_the_older_one(file: Path) -> None:
    older = written(file, APPROVED)
    newer = written(file, APPROVED | {"approved_by": "Grace"})
    assert beside(newer) == {older, newer}
    assert supersede(newer) == [older.name]
    assert beside(newer) == {newer}
    assert read_bundle(newer).manifest.approval["approved_by"] == "Grace"
    assert supersede(newer) == []


def test_gates_that_hold_after_all_take_the_place_of_an_approval(file: Path) -> None:
    older, newer = written(file, APPROVED), written(file, ORIGIN | {"verdict": "pass"})
    assert supersede(newer) == [older.name]


def test_what_differs_in_more_than_its_decision_is_another_release(file: Path, tmp_path: Path) -> None:
    other_file = linear_model(tmp_path / "other.onnx", 3, 5)
    kept = {
        written(file, APPROVED, version="2"),
        written(file, APPROVED | {"run_key": "of another recipe"}),
        written(file, APPROVED, session=SessionSettings(threads=2)),
        write_bundle(
            file.parent / "target", model="m", version="1", device="bench", entry="model.onnx", inputs=TENSOR,
            outputs=TENSOR, session=SessionSettings(threads=1), lineage=APPROVED, files={"model.onnx": other_file},
        ),
    }  # fmt: skip
    bundle = written(file, APPROVED | {"approved_by": "Grace"})
    assert supersede(bundle) == []
    assert beside(bundle) == {bundle, *kept}


def test_what_is_no_bundle_is_left_alone(file: Path) -> None:
    bundle, damaged = written(file, APPROVED), written(file, APPROVED | {"approved_by": "Grace"})
    (damaged / "manifest.json").chmod(0o644)
    (damaged / "manifest.json").write_text("{}")
    (bundle.parent / "notes.txt").write_text("by hand")
    (bundle.parent / "link").symlink_to(bundle)
    (bundle.parent / "empty").mkdir()
    assert supersede(bundle) == []
    assert {path.name for path in beside(bundle)} == {bundle.name, damaged.name, "notes.txt", "link", "empty"}


def test_a_kill_in_the_middle_leaves_no_part_that_could_be_read(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    older, newer = written(file, APPROVED), written(file, APPROVED | {"approved_by": "Grace"})
    with monkeypatch.context() as broken:
        broken.setattr(
            "tasks.delivery.destinations.shutil.rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            supersede(newer)
    (left,) = beside(newer) - {newer}
    assert left.name == f".tmp-superseded-{older.name}" and not older.exists()
    written(file, APPROVED | {"approved_by": "Grace"})  # publishing again clears it away
    assert beside(newer) == {newer}
    with caplog.at_level(logging.INFO, logger="edgewright"):
        shutil.copytree(newer, newer.parent / ("0" * 64))
        assert supersede(newer) == ["0" * 64]
    assert "took the place of 000000000000" in caplog.text


def content(file: Path, **changes: Any) -> BundleContent:
    given: dict[str, Any] = {"model": "m", "version": "1", "device": "bench", "session": SessionSettings(threads=1)}
    return BundleContent(
        entry="model.onnx", inputs=TENSOR, outputs=TENSOR, lineage=ORIGIN | {"verdict": "pass"},
        files={"model.onnx": file}, **(given | changes),
    )  # fmt: skip


def test_a_folder_lists_the_whole_bundles_of_one_device(file: Path, tmp_path: Path) -> None:
    destination: Destination = FolderDestination(tmp_path / "target")
    assert destination.bundles("m", "bench") == []
    first = destination.write(content(file))
    second = destination.write(content(file, version="2"))
    destination.write(content(file, device="other"))
    (Path(first).parent / "half").mkdir()
    destination.claim("m", "bench", 1, "k")
    assert destination.bundles("m", "bench") == sorted([first, second])
    assert destination.write(content(file)) == first
    assert read_bundle(Path(second)).manifest.version == "2"


def test_a_release_number_is_taken_once_and_stays_its_holders(tmp_path: Path) -> None:
    destination: Destination = FolderDestination(tmp_path)
    assert destination.claim("m", "bench", 1, "ada")
    assert not destination.claim("m", "bench", 1, "grace")
    assert destination.claim("m", "bench", 1, "ada")
    assert destination.claim("m", "bench", 2, "grace")
    assert destination.claim("m", "other", 1, "grace")


def test_of_many_who_claim_at_once_one_gets_the_number(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda holder: destination.claim("m", "bench", 7, f"holder {holder}"), range(64)))
    assert sum(got) == 1
