"""Running models of a device, the way back by hand, and what the status says."""

import shutil

import pytest

from edge_runtime.errors import BundleRefused, InstallError
from edge_runtime.install import Limits, roll_back, running, statuses
from edge_runtime.install.state import read_state
from tests.edge_runtime.install.carried import MODEL
from tests.edge_runtime.install.conftest import Site


def test_nothing_runs_before_anything_is_installed(site: Site) -> None:
    with pytest.raises(InstallError, match="got nothing installed"):
        running(site.store, MODEL)
    assert statuses(site.store) == []


def test_the_way_back_is_to_the_bundle_before_and_only_once(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    site.install(second)
    assert roll_back(site.store, MODEL, "it is blind at night", Limits()).digest == first.digest
    assert running(site.store, MODEL).bundle.digest == first.digest
    with pytest.raises(InstallError, match="expected a bundle of camera to go back to, got none"):
        roll_back(site.store, MODEL, "again", Limits())
    with pytest.raises(BundleRefused, match="It was rolled back by hand: it is blind at night"):
        site.install(second)
    assert site.install(second, again=True).changed
    assert read_state(site.store.root, MODEL).previous == first.digest


def test_a_bundle_that_is_damaged_or_wrong_by_now_is_no_way_back(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    site.install(second)
    with pytest.raises(BundleRefused, match="is too slow on this device"):
        roll_back(site.store, MODEL, "slow", Limits(latency_ms=1e-9))
    assert running(site.store, MODEL).bundle.digest == second.digest
    site.store.identified(MODEL, first.digest).entry_path.unlink()
    with pytest.raises(InstallError, match="The bundle to go back to is damaged, nothing is changed"):
        roll_back(site.store, MODEL, "blind", Limits())
    assert running(site.store, MODEL).bundle.digest == second.digest


def test_the_status_names_what_runs_what_ran_before_and_what_is_held_back(site: Site) -> None:
    first, second, third = site.carry(1), site.carry(2), site.carry(3)
    for each in (first, second, third):
        site.install(each)
    roll_back(site.store, MODEL, "it is blind", Limits())
    (status,) = statuses(site.store)
    assert status.current is not None and status.current.manifest.version == "2"
    assert status.previous is None and status.state.refused[0].digest == third.digest
    shutil.rmtree(site.store.root / "targets")
    (status,) = statuses(site.store)
    assert status.current is None and status.state.current == second.digest
