"""The install step: what comes in is tried and runs, and whatever goes wrong leaves what ran before."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import RuntimeRange, Validity, decode_manifest
from edge_runtime.errors import BundleError, BundleRefused, DeviceFailed, InstallError, StoreBusy
from edge_runtime.install import DeviceStore, FolderSource, Tuning, install, running
from edge_runtime.install.state import MOST_ATTEMPTS, read_state, write_state
from edge_runtime.session import EdgeModel
from tests.edge_runtime.install.carried import MODEL, PASSED, rows, small_model
from tests.edge_runtime.install.conftest import QUICK, Site

APPROVED = {
    "verdict": "overridden", "verdict_sha256": "0" * 64, "approved_by": "Ada", "approval_reason": "it is needed",
    "approved_until": "2026-06-30", "approved_verdict": "0" * 64,
}  # fmt: skip


def answers(site: Site) -> np.ndarray:
    found = running(site.store, MODEL)
    return EdgeModel.load(found.graph, found.session).predict({"x": rows()})[0]


def test_what_is_installed_runs_and_answers(site: Site) -> None:
    first = site.carry(1)
    done = site.install(first)
    assert done.changed and done.bundle.digest == first.digest == read_state(site.store.root, MODEL).current
    with np.load(site.folder / "made" / "golden-1.npz") as golden:
        np.testing.assert_allclose(answers(site), golden["out.y"], rtol=1e-5, atol=1e-5)


def test_what_runs_already_is_not_installed_again(site: Site) -> None:
    first = site.carry(1)
    site.install(first)
    before = read_state(site.store.root, MODEL)
    assert not site.install(first).changed
    assert read_state(site.store.root, MODEL) == before


def test_the_current_bundle_and_the_one_before_are_kept_and_no_more(site: Site) -> None:
    carried = [site.carry(seed) for seed in (1, 2, 3)]
    for each in carried:
        site.install(each)
    state = read_state(site.store.root, MODEL)
    assert (state.current, state.previous) == (carried[2].digest, carried[1].digest)
    kept = {blob.sha256 for each in carried[1:] for blob in site.store.identified(MODEL, each.digest).manifest.blobs}
    assert {path for path in site.files() if path.startswith("blobs/")} == {f"blobs/{sha256}" for sha256 in kept}
    assert not any(carried[0].digest in path for path in site.files())


def test_a_blob_that_is_there_already_is_not_brought_again(site: Site) -> None:
    files = small_model(site.folder / "same", 7)
    site.install(site.carry(1, files=files))
    brought = []

    class Noting(FolderSource):
        def bring(self, blob, manifest, store):  # type: ignore[no-untyped-def]
            brought.append(blob.name)
            super().bring(blob, manifest, store)

    second = site.carry(2, files=files)
    install(site.store, MODEL, second.data, Noting(second.root), QUICK)
    assert brought == []  # the golden vectors of one model are the same too


def test_a_damaged_blob_of_the_store_is_brought_again(site: Site) -> None:
    first = site.carry(1)
    site.install(first)
    graph = running(site.store, MODEL).graph
    damaged = bytearray(graph.read_bytes())
    damaged[-10] ^= 1
    graph.chmod(0o644)
    graph.write_bytes(damaged)
    with pytest.raises(InstallError, match="expected a whole bundle of camera, got none"):
        running(site.store, MODEL)
    assert site.install(first).changed
    assert running(site.store, MODEL).bundle.digest == first.digest


def test_a_flipped_bit_is_found_before_anything_is_mapped_and_the_bundle_before_runs(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    site.install(second)
    graph = site.store.identified(MODEL, second.digest).entry_path
    damaged = bytearray(graph.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    graph.chmod(0o644)
    graph.write_bytes(damaged)
    assert running(site.store, MODEL).bundle.digest == first.digest
    assert "a stored bundle is damaged" in caplog.text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lineage": {"verdict": "fail", "verdict_sha256": "0" * 64}}, "has the verdict 'fail'"),
        ({"lineage": {"verdict": "inconclusive", "verdict_sha256": "0" * 64}}, "has the verdict 'inconclusive'"),
        ({"lineage": {}}, "has the verdict None"),
        ({"lineage": {"verdict": "pass"}}, "has the verdict 'pass': only what passed"),
        ({"lineage": APPROVED}, "was approved until 2026-06-30, which is over"),
        ({"lineage": APPROVED | {"approved_until": "soon"}}, "was approved until soon, which is over"),
        ({"validity": Validity(("riscv",))}, "its verdict holds for riscv, and this device has"),
        ({"validity": Validity()}, "its verdict holds for no CPU"),
        ({"golden": None}, "has no golden vectors to try it with"),
        ({"onnxruntime": RuntimeRange("98.0", "99.0")}, "needs ONNX Runtime 98.0 or later"),
        ({"runtime": "99.0"}, "needs edge_runtime 99.0 or later"),
        ({"device": "other"}, "Expected a bundle of camera for gateway, got camera version 2 for other"),
        ({"model": "other"}, "Expected a bundle of camera for gateway, got other version 2 for gateway"),
    ],
)
def test_the_gate_is_enforced_on_the_device(site: Site, changes: dict[str, object], sentence: str) -> None:
    settings = replace(QUICK, now=datetime(2026, 7, 1, tzinfo=UTC))
    first = site.carry(1)
    site.install(first)
    before = site.files()
    with pytest.raises(BundleRefused, match=sentence):
        site.install(site.carry(2, **changes), settings)
    assert site.files() == before and running(site.store, MODEL).bundle.digest == first.digest


@pytest.mark.parametrize("changes", [{"lineage": APPROVED}, {"validity": Validity(("riscv",), elsewhere=True)}])
def test_what_a_person_or_the_recipe_has_accepted_is_installed(site: Site, changes: dict[str, object]) -> None:
    settings = replace(QUICK, now=datetime(2026, 6, 30, 23, tzinfo=UTC))
    assert site.install(site.carry(1, **changes), settings).changed


def test_two_installers_do_not_meet(site: Site) -> None:
    first = site.carry(1)
    with site.store.only_installer(), pytest.raises(StoreBusy, match="got another one at work"):
        site.install(first)
    assert site.install(first).changed


def test_a_full_disk_is_seen_before_anything_is_brought(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    with monkeypatch.context() as full:
        full.setattr("edge_runtime.install.store.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
        with pytest.raises(DeviceFailed, match=r"expected \d+ free bytes for camera version 2, got 1000"):
            site.install(second)
    assert running(site.store, MODEL).bundle.digest == first.digest
    assert site.install(second).changed


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda blob: blob.unlink(), "expected the blob .* got none; carry the whole folder again"),
        (lambda blob: blob.write_bytes(blob.read_bytes()[:-1]), "bytes, the manifest says"),
        (lambda blob: blob.write_bytes(b"x" * blob.stat().st_size), "has the sha256"),
    ],
)
def test_a_carried_folder_that_is_damaged_changes_nothing(
    site: Site, spoil: Callable[[Path], object], sentence: str
) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    before = site.files()
    blob = second.root / "blobs" / next(iter(_graphs_of(second.data)))
    content = blob.read_bytes()
    blob.chmod(0o644)
    spoil(blob)
    with pytest.raises(InstallError, match=sentence):
        site.install(second)
    came = {path for path in site.files() if not path.endswith(".part")} - before
    assert came <= {f"blobs/{sha256}" for sha256 in (*_graphs_of(second.data), *_golden_of(second.data))}
    assert running(site.store, MODEL).bundle.digest == first.digest
    blob.unlink(missing_ok=True)
    blob.write_bytes(content)
    assert site.install(second).changed


def _golden_of(data: bytes) -> list[str]:
    return [blob.sha256 for blob in decode_manifest(data).blobs if blob.name == "golden.npz"]


def _graphs_of(data: bytes) -> list[str]:
    return [blob.sha256 for blob in decode_manifest(data).blobs if blob.name == "model.onnx"]


def test_trials_that_the_device_did_not_survive_are_counted(site: Site) -> None:
    """A power cut in a trial says little about the bundle: it is tried again, but not for ever."""
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    state = read_state(site.store.root, MODEL)
    for _ in range(MOST_ATTEMPTS - 1):
        state = state.trying(second.digest)
    write_state(site.store.root, MODEL, state)
    assert site.install(second).changed, "the last attempt is a real one"
    third = site.carry(3)
    state = read_state(site.store.root, MODEL)
    for _ in range(MOST_ATTEMPTS):
        state = state.trying(third.digest)
    write_state(site.store.root, MODEL, state)
    with pytest.raises(BundleRefused, match="The device went down in 3 trials of it"):
        site.install(third)
    with pytest.raises(BundleRefused, match="is not tried again: The device went down"):
        site.install(third)
    assert running(site.store, MODEL).bundle.digest == second.digest


def test_the_last_trial_is_without_tuning_which_may_be_what_took_the_device_down(site: Site) -> None:
    settings = replace(QUICK, tuning=Tuning(tuned_graph=False, threads=(1, 2)))
    for seed, attempts in ((1, MOST_ATTEMPTS - 2), (2, MOST_ATTEMPTS - 1)):
        carried = site.carry(seed)
        state = read_state(site.store.root, MODEL)
        for _ in range(attempts):
            state = state.trying(carried.digest)
        write_state(site.store.root, MODEL, state)
        assert site.install(carried, settings).changed
        assert site.store.tuned_folder(carried.digest).exists() == (attempts < MOST_ATTEMPTS - 1)


def test_what_runs_stays_whole_where_a_bundle_of_another_profile_fails(site: Site) -> None:
    first = site.carry(1)
    site.install(first)
    other = site.carry(2, device="kiosk", answers=np.zeros((8, 8), np.float32))
    with pytest.raises(BundleRefused, match="answers wrongly"):
        install(DeviceStore(site.store.root, "kiosk"), MODEL, other.data, FolderSource(other.root), QUICK)
    assert running(site.store, MODEL).bundle.digest == first.digest


def test_hostile_bytes_are_no_manifest(site: Site) -> None:
    with pytest.raises(BundleError, match="is not JSON"):
        install(site.store, MODEL, b"{", FolderSource(site.folder), QUICK)


def test_another_models_broken_state_is_in_nobodys_way(site: Site) -> None:
    first = site.carry(1)
    (site.store.root / "models").mkdir(parents=True)
    (site.store.root / "models" / "other.json").write_text("broken")
    assert site.install(first).changed
    assert DeviceStore(site.store.root, site.store.device).missing(site.install(first).bundle.manifest) == []


def test_a_passing_verdict_is_what_the_fixture_has(site: Site) -> None:
    assert site.install(site.carry(1)).bundle.manifest.lineage.items() >= PASSED.items()


def test_a_state_that_is_lost_is_begun_anew(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that lies about syncs may lose both files; nobody is there to remove them."""
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    for path in (site.store.root / "models").glob("camera.json*"):
        path.write_bytes(b"")
    with pytest.raises(InstallError, match="its copy cannot be read either"):
        running(site.store, MODEL)
    assert site.install(second).changed
    assert running(site.store, MODEL).bundle.digest == second.digest
    assert "its state is lost and begun anew" in caplog.text
