"""Destinations: one bundle for each content, and release numbers that only one holder can take.

Every destination passes the same tests; a new one is an entry in `DESTINATIONS`. Tests of the folder's own come last.
"""

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle import Manifest, TensorSpec, read_bundle
from edge_runtime.files import sha256_of
from edge_runtime.settings import SessionSettings
from tasks.delivery import BundleContent, Destination, FolderDestination
from tasks.delivery.claims import End
from tests.edge_runtime.models import RUNNING, linear_model

ORIGIN = {"source_version": "1", "run_key": "k"}
ADA = {"approved_by": "Ada", "approval_reason": "so", "approved_until": "2999-01-01", "approved_verdict": "v"}
APPROVED = ORIGIN | ADA | {"verdict": "overridden"}
BY_GRACE = APPROVED | {"approved_by": "Grace"}
TENSOR = (TensorSpec("x", "float32", (None, 3)),)


def read_folder(address: str) -> Manifest:
    return read_bundle(Path(address)).manifest


@dataclass(frozen=True)
class Case:
    """One kind of destination: how it is made at a path, and how a device reads the bundle at an address."""

    make: Callable[[Path], Destination]
    read: Callable[[str], Manifest]


DESTINATIONS = {"folder": Case(FolderDestination, read_folder)}


@pytest.fixture(params=sorted(DESTINATIONS))
def case(request: pytest.FixtureRequest) -> Case:
    return DESTINATIONS[request.param]


@pytest.fixture
def destination(case: Case, tmp_path: Path) -> Destination:
    return case.make(tmp_path / "target")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "model.onnx", 3)


def content(file: Path, lineage: dict[str, str] | None = None, **changes: Any) -> BundleContent:
    given: dict[str, Any] = {"model": "m", "version": "1", "device": "bench", "session": SessionSettings(threads=1)}
    given["onnxruntime"] = RUNNING
    return BundleContent(
        entry="model.onnx", inputs=TENSOR, outputs=TENSOR, lineage=lineage or ORIGIN | {"verdict": "pass"},
        files={"model.onnx": file}, sha256=sha256_of(file), **(given | changes),
    )  # fmt: skip


def test_a_newer_approval_takes_the_place_of_the_older_one(case: Case, destination: Destination, file: Path) -> None:
    older = destination.write(content(file, APPROVED))
    newer = destination.write(content(file, BY_GRACE))
    assert destination.bundles("m", "bench") == sorted([older, newer])
    assert destination.supersede(newer) == [older]
    assert destination.bundles("m", "bench") == [newer]
    assert case.read(newer).approval["approved_by"] == "Grace"
    assert destination.supersede(newer) == []


def test_gates_that_hold_after_all_take_the_place_of_an_approval(destination: Destination, file: Path) -> None:
    older = destination.write(content(file, APPROVED))
    newer = destination.write(content(file, ORIGIN | {"verdict": "pass"}))
    assert destination.supersede(newer) == [older]


def test_what_differs_in_more_than_its_decision_is_another_release(
    destination: Destination, file: Path, tmp_path: Path
) -> None:
    other_file = linear_model(tmp_path / "other.onnx", 3, 5)
    kept = {
        destination.write(content(file, APPROVED, version="2")),
        destination.write(content(file, APPROVED | {"run_key": "of another recipe"})),
        destination.write(content(file, APPROVED, session=SessionSettings(threads=2))),
        destination.write(content(other_file, APPROVED)),
    }
    bundle = destination.write(content(file, BY_GRACE))
    assert destination.supersede(bundle) == []
    assert set(destination.bundles("m", "bench")) == {bundle, *kept}


def test_the_model_of_a_release_is_fetched_from_its_bundle(
    destination: Destination, file: Path, tmp_path: Path
) -> None:
    destination.write(content(file, ORIGIN | {"verdict": "pass", "release": "3"}))
    fetched = destination.fetch("m", "bench", 3, tmp_path / "fetched")
    assert fetched is not None and fetched.name == "model.onnx" and fetched.read_bytes() == file.read_bytes()
    assert destination.fetch("m", "bench", 5, tmp_path / "none") is None


def test_whole_bundles_of_one_device_are_listed(case: Case, destination: Destination, file: Path) -> None:
    assert destination.bundles("m", "bench") == []
    first = destination.write(content(file))
    second = destination.write(content(file, version="2"))
    destination.write(content(file, device="other"))
    (Path(first).parent / "half").mkdir()
    destination.claim("m", "bench", 1, "k")
    assert destination.bundles("m", "bench") == sorted([first, second])
    assert destination.write(content(file)) == first
    assert case.read(second).version == "2"


def test_a_release_number_is_taken_once_and_stays_its_holders(destination: Destination) -> None:
    assert destination.claim("m", "bench", 1, "ada")
    assert not destination.claim("m", "bench", 1, "grace")
    assert destination.claim("m", "bench", 1, "ada")
    assert destination.claim("m", "bench", 2, "grace")
    assert destination.claim("m", "other", 1, "grace")


def test_a_claim_that_was_killed_leaves_the_number_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = FolderDestination(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr("os.link", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            destination.claim("m", "bench", 1, "ada")
    assert destination.claim("m", "bench", 1, "grace")
    assert not destination.claim("m", "bench", 1, "ada")


def test_of_many_who_claim_at_once_one_gets_the_number(destination: Destination) -> None:
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda holder: destination.claim("m", "bench", 7, f"holder {holder}"), range(64)))
    assert sum(got) == 1


def test_a_claim_ends_once_and_for_good(destination: Destination) -> None:
    destination.claim("m", "bench", 1, "ada")
    destination.claim("m", "bench", 2, "grace")
    assert destination.settle("m", "bench", 2, "released", {"by": "grace"})
    assert not destination.settle("m", "bench", 2, "abandoned", {})
    one, two = destination.claims("m", "bench")
    assert (one.release, one.holder, one.end) == (1, "ada", None)
    assert (two.release, two.holder, two.end, two.note) == (2, "grace", "released", {"by": "grace"})
    assert destination.claims("m", "other") == []


def test_bundles_of_abandoned_releases_are_swept_away(destination: Destination, file: Path) -> None:
    written = {}
    ends: tuple[End | None, ...] = ("released", "abandoned", None)
    for number, end in enumerate(ends, start=1):
        destination.claim("m", "bench", number, str(number))
        written[number] = destination.write(content(file, ORIGIN | {"release": str(number)}))
        if end is not None:
            destination.settle("m", "bench", number, end, {})
    assert destination.sweep("m", "bench") == [written[2]]
    assert destination.bundles("m", "bench") == sorted([written[1], written[3]])
    assert destination.holds("m", "bench", 1)
    assert not destination.holds("m", "bench", 2)


def test_a_release_with_a_damaged_byte_is_not_held(destination: Destination, file: Path, tmp_path: Path) -> None:
    address = Path(destination.write(content(file, ORIGIN | {"release": "1"})))
    assert destination.holds("m", "bench", 1)
    holder = address if address.is_file() else next((address / "blobs").iterdir())
    damaged = bytearray(holder.read_bytes())
    damaged[damaged.index(file.read_bytes()) + 20] ^= 1
    holder.chmod(0o644)
    holder.write_bytes(damaged)
    assert destination.fetch("m", "bench", 1, tmp_path / "fetched") is None
    assert not destination.holds("m", "bench", 1)


def folder_of(file: Path, lineage: dict[str, str]) -> Path:
    """Write a bundle into a folder, and return the bundle's own."""
    return Path(FolderDestination(file.parent / "target").write(content(file, lineage)))


def supersede(bundle: Path) -> list[str]:
    return [Path(address).name for address in FolderDestination(bundle.parents[2]).supersede(str(bundle))]


def beside(bundle: Path) -> set[Path]:
    return set(bundle.parent.iterdir())


def test_nothing_lies_beside_the_bundles_in_a_folder(file: Path) -> None:
    other = folder_of(file, APPROVED | {"run_key": "of another recipe"})
    older, newer = folder_of(file, APPROVED), folder_of(file, BY_GRACE)
    assert beside(newer) == {other, older, newer}
    assert supersede(newer) == [older.name]
    assert beside(newer) == {other, newer}


def test_what_is_no_bundle_is_left_alone(file: Path) -> None:
    bundle, damaged = folder_of(file, APPROVED), folder_of(file, BY_GRACE)
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
    older, newer = folder_of(file, APPROVED), folder_of(file, BY_GRACE)
    with monkeypatch.context() as broken:
        broken.setattr(
            "tasks.delivery.destinations.shutil.rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            supersede(newer)
    (left,) = beside(newer) - {newer}
    assert left.name == f".tmp-superseded-{older.name}" and not older.exists()
    folder_of(file, BY_GRACE)  # publishing again clears it away
    assert beside(newer) == {newer}
    with caplog.at_level(logging.INFO, logger="edgewright"):
        shutil.copytree(newer, newer.parent / ("0" * 64))
        assert supersede(newer) == ["0" * 64]
    assert "took the place of 000000000000" in caplog.text
