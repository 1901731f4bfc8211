"""Shadows in a device's store: tried as an install tries, kept beside what runs, promoted, and removed."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from edge_runtime.bundle import Measured, TensorSpec
from edge_runtime.errors import BundleRefused, DeviceFailed, InstallError, StoreBusy
from edge_runtime.install import (
    FolderSource,
    Installed,
    ShadowBudget,
    current_digest,
    end_shadow,
    install_shadow,
    needed_mb,
    running,
    running_shadow,
    shadow_choice,
    shadow_misfit,
    statuses,
)
from edge_runtime.install.state import MOST_ATTEMPTS, read_state, write_state
from tests.edge_runtime.install.carried import CLASSES, MODEL, PASSED, WIDTH, Carried
from tests.edge_runtime.install.conftest import QUICK, Site

TENTH = ShadowBudget(0.1)


def shadow(site: Site, carried: Carried, budget: ShadowBudget = TENTH, **options: bool) -> Installed:
    return install_shadow(site.store, MODEL, carried.data, FolderSource(carried.root), QUICK, budget, **options)


def kept(site: Site, carried: Carried) -> bool:
    """Tell whether a bundle lies in the store, and whole."""
    return f"targets/{MODEL}/gateway/{carried.digest}.manifest.json" in site.files() and site.store.is_complete(
        MODEL, carried.digest
    )


def test_a_shadow_is_tried_and_stays_beside_what_runs(site: Site) -> None:
    first, second, third = (site.carry(seed) for seed in (1, 2, 3))
    site.install(first)
    before = read_state(site.store.root, MODEL)
    assert shadow(site, second, ShadowBudget(0.2, 300.0)).changed
    choice = shadow_choice(site.store, MODEL)
    assert choice is not None and (choice.digest, choice.budget) == (second.digest, ShadowBudget(0.2, 300.0))
    state = read_state(site.store.root, MODEL)
    assert replace(state, shadow=None) == before, "nothing else has changed"
    assert running(site.store, MODEL).bundle.digest == first.digest == current_digest(site.store, MODEL)
    assert running_shadow(site.store, MODEL, second.digest).bundle.digest == second.digest
    site.install(third)  # it removes what nobody needs
    assert kept(site, second) and read_state(site.store.root, MODEL).previous == first.digest
    (status,) = statuses(site.store)
    assert status.shadow is not None and status.shadow.manifest.version == "2"


def test_what_was_a_shadow_is_installed_as_any_bundle_is_and_is_one_no_more(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    shadow(site, second)
    assert site.install(second).changed
    state = read_state(site.store.root, MODEL)
    assert (state.current, state.previous, state.shadow) == (second.digest, first.digest, None)


def test_the_end_removes_it_and_nothing_else(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    before, files = read_state(site.store.root, MODEL), site.files()
    assert not end_shadow(site.store, MODEL)
    shadow(site, second)
    assert end_shadow(site.store, MODEL)
    assert read_state(site.store.root, MODEL) == before and site.files() == files
    assert shadow(site, second).changed, "nothing is held against it"


def test_another_shadow_takes_its_place_and_the_same_one_gets_another_budget(site: Site) -> None:
    first, second, third = (site.carry(seed) for seed in (1, 2, 3))
    site.install(first)
    shadow(site, second)
    assert not shadow(site, second, ShadowBudget(0.5)).changed
    choice = shadow_choice(site.store, MODEL)
    assert choice is not None and choice.budget.share == 0.5
    assert shadow(site, third).changed
    assert kept(site, third) and not kept(site, second)


def test_a_shadow_that_lost_bytes_is_brought_again(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    shadow(site, second)
    site.store.identified(MODEL, second.digest).entry_path.unlink()
    assert shadow(site, second).changed
    assert kept(site, second) and read_state(site.store.root, MODEL).trial is None


def test_a_shadow_that_fails_its_trial_is_refused_and_the_one_before_stays(site: Site) -> None:
    first, second, wrong = site.carry(1), site.carry(2), site.carry(3, answers=np.zeros((8, CLASSES), np.float32))
    site.install(first)
    shadow(site, second)
    with pytest.raises(BundleRefused, match="answers wrongly on this device"):
        shadow(site, wrong)
    state = read_state(site.store.root, MODEL)
    assert state.shadow is not None and state.shadow.digest == second.digest and state.current == first.digest
    assert state.reason_against(wrong.digest) is not None and not kept(site, wrong)
    with pytest.raises(BundleRefused, match="is not tried again"):
        shadow(site, wrong)
    with pytest.raises(BundleRefused, match="answers wrongly"):
        shadow(site, wrong, again=True)


def test_the_rules_of_an_install_hold_for_a_shadow(site: Site) -> None:
    site.install(site.carry(1))
    with pytest.raises(BundleRefused, match="has the verdict 'fail'"):
        shadow(site, site.carry(2, lineage=PASSED | {"verdict": "fail"}))
    with pytest.raises(BundleRefused, match="has no golden vectors"):
        shadow(site, site.carry(3, golden=None))


def test_while_another_process_installs_no_shadow_comes_or_goes(site: Site) -> None:
    site.install(site.carry(1))
    second = site.carry(2)
    shadow(site, second)
    with site.store.only_installer():
        with pytest.raises(StoreBusy):
            end_shadow(site.store, MODEL)
        with pytest.raises(StoreBusy):
            shadow(site, second)
    assert read_state(site.store.root, MODEL).shadow is not None


def test_what_cannot_be_compared_is_refused_before_anything_is_brought(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    with pytest.raises(InstallError, match="nothing of camera runs here; install a release first"):
        shadow(site, second)
    site.install(first)
    files = site.files()
    with pytest.raises(InstallError, match="it runs already"):
        shadow(site, first)
    with pytest.raises(InstallError, match=r"it takes the inputs \['z'\], and what serves takes \['x'\]"):
        shadow(site, _with_inputs(site, TensorSpec("z", "float32", (None, WIDTH))))
    with pytest.raises(InstallError, match="needs about 100 MiB as a shadow, and 99 MiB are allowed"):
        shadow(site, second, ShadowBudget(0.1, 99.0))
    assert site.files() == files and read_state(site.store.root, MODEL).refused == ()


def _with_inputs(site: Site, *inputs: TensorSpec) -> Carried:
    return site.carry(5, inputs=inputs)


def test_a_device_that_goes_down_in_each_trial_of_a_shadow_tries_it_no_more(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    state = read_state(site.store.root, MODEL)
    for _ in range(MOST_ATTEMPTS):
        state = state.trying(second.digest)
    write_state(site.store.root, MODEL, state)
    with pytest.raises(BundleRefused, match="went down in 3 trials"):
        shadow(site, second)
    assert running(site.store, MODEL).bundle.digest == first.digest


def test_a_disk_that_fails_at_the_end_leaves_what_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (site.carry(seed) for seed in (1, 2, 3))
    site.install(first)
    shadow(site, second)
    written: list[object] = []

    def full(root: object, model: str, state: object) -> None:
        written.append(state)
        if len(written) == 2:  # the first one records the trial
            raise OSError("no space")
        write_state(root, model, state)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr("edge_runtime.install.installer.write_state", full)
        with pytest.raises(DeviceFailed, match="no space"):
            shadow(site, third)
    assert len(written) == 2
    state = read_state(site.store.root, MODEL)
    assert state.current == first.digest and state.shadow is not None and state.shadow.digest == second.digest
    assert shadow(site, third).changed
    assert kept(site, third) and read_state(site.store.root, MODEL).trial is None


X, Y = TensorSpec("x", "float32", (None, 4)), TensorSpec("y", "float32", (None, 2))


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        ((X,), (Y,), None),
        ((replace(X, shape=(None, None)),), (Y, replace(Y, name="more")), None),
        ((X,), (replace(Y, dtype="float16", shape=(None, 7)),), None),
        ((replace(X, shape=(8, 4)),), (Y,), "in the shape (8, 4)"),
        ((replace(X, shape=(None, 4, 1)),), (Y,), "in the shape (None, 4, 1)"),
        ((replace(X, dtype="float64"),), (Y,), "as float64"),
        ((X, Y), (Y,), "it takes the inputs ['x', 'y']"),
        ((X,), (replace(Y, name="z"),), "it gives the outputs ['z'], and none of those that serve, ['y']"),
    ],
)
def test_a_shadow_takes_what_the_other_takes_and_shares_an_output(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], said: str | None
) -> None:
    missed = shadow_misfit((X,), (Y,), inputs, outputs)
    assert missed is None if said is None else missed is not None and said in missed


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan"), float("inf"), "0.1", True])
def test_a_share_is_above_0_and_at_most_1(share: object) -> None:
    with pytest.raises(InstallError, match="The share of a shadow must be above 0"):
        ShadowBudget(share)  # type: ignore[arg-type]


@pytest.mark.parametrize("memory_mb", [0, -1, float("nan"), "12", False])
def test_memory_is_above_0(memory_mb: object) -> None:
    with pytest.raises(InstallError, match="The memory of a shadow must be"):
        ShadowBudget(0.1, memory_mb)  # type: ignore[arg-type]


def test_a_bundle_without_figures_needs_its_files_twice(site: Site) -> None:
    carried = site.carry(1, measured=Measured())
    blobs = FolderSource(carried.root).root / "blobs"
    size = sum(path.stat().st_size for path in blobs.iterdir())
    site.install(carried)
    manifest = running(site.store, MODEL).bundle.manifest
    assert needed_mb(manifest) == pytest.approx(2 * size / (1 << 20))
    assert needed_mb(replace(manifest, measured=Measured({"peak_rss_mb": 100.0}))) == 100.0


def test_the_choice_says_since_when(site: Site) -> None:
    site.install(site.carry(1))
    begun = datetime.now(UTC).replace(microsecond=0)
    shadow(site, site.carry(2))
    choice = shadow_choice(site.store, MODEL)
    assert choice is not None
    assert begun <= datetime.strptime(choice.since, "%Y-%m-%dT%H:%M:%S%z") <= datetime.now(UTC)
