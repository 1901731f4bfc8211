"""Running models of a device: the verified bundle and how to run it, the way back, and the status for people."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, InstallError
from edge_runtime.install.smoke_test import Limits, smoke_test
from edge_runtime.install.state import ModelState, models_of, read_state, stamp_of_state, write_state
from edge_runtime.install.store import DeviceStore
from edge_runtime.install.tuning import portable, tuned
from edge_runtime.settings import SessionSettings

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class RunningModel:
    """A verified bundle with the graph and the session that this device has chosen for it."""

    bundle: Bundle
    graph: Path
    session: SessionSettings


@dataclass(frozen=True)
class ModelStatus:
    """The status of one model: its state, and the current and the previous bundle; None if damaged.

    `lost` says why its state cannot be read; the state is empty then.
    """

    model: str
    state: ModelState
    current: Bundle | None = None
    previous: Bundle | None = None
    lost: str | None = None


def running(store: DeviceStore, model: str) -> RunningModel:
    """Return what a device runs for a model: every byte is hashed before anything maps it.

    Where the current bundle is damaged, the one before it runs, and the log says so. Raises InstallError where none is
    whole.
    """
    state = read_state(store.root, model)
    for digest in (each for each in (state.current, state.previous) if each is not None):
        try:
            bundle = store.verified(model, digest)
        except BundleError as error:
            logger.error("%s: a stored bundle is damaged, the one before it is used: %s", model, error)
            continue
        return RunningModel(bundle, *tuned(store, bundle))
    raise InstallError(
        f"{store.root}: expected a whole bundle of {model}, got {'none' if state.current else 'nothing installed'}; "
        "install one from a folder, or update"
    )


def state_stamp(store: DeviceStore, model: str) -> object:
    """Return a value that differs after each change of a model's state; a process that serves asks for it often."""
    return stamp_of_state(store.root, model)


def current_digest(store: DeviceStore, model: str) -> str | None:
    """Return the digest of the bundle that the state names as the current one; its files are not looked at.

    Raises InstallError where the state cannot be read.
    """
    return read_state(store.root, model).current


def roll_back(store: DeviceStore, model: str, reason: str | None, limits: Limits) -> Bundle:
    """Go back to the bundle before the current one, which is not tried again until somebody says so.

    Without a reason, as where another payload of an OTA failed, nothing is held against it. Raises InstallError where
    there is none that is whole and answers rightly; nothing is changed then.
    """
    with store.only_installer():
        state = read_state(store.root, model)
        if state.previous is None:
            raise InstallError(
                f"{store.root}: expected a bundle of {model} to go back to, got none; nothing is changed"
            )
        try:
            bundle = store.verified(model, state.previous)
        except BundleError as error:
            raise InstallError(f"The bundle to go back to is damaged, nothing is changed: {error}") from error
        smoke_test(bundle, *portable(bundle), limits)
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        against = None if reason is None else f"It was rolled back by hand: {reason}."
        write_state(store.root, model, state.back_to(state.previous, against, now))
        return bundle  # what is left over goes with the next install: an update may be fetching into the store


def statuses(store: DeviceStore) -> list[ModelStatus]:
    """Return the status of every model of a store, by name; nothing but manifests is read."""
    found = []
    for model in models_of(store.root):
        try:
            state = read_state(store.root, model)
        except InstallError as error:
            found.append(ModelStatus(model, ModelState(), lost=str(error)))
            continue
        current, previous = (_identified(store, model, digest) for digest in (state.current, state.previous))
        found.append(ModelStatus(model, state, current, previous))
    return found


def _identified(store: DeviceStore, model: str, digest: str | None) -> Bundle | None:
    try:
        return None if digest is None else store.identified(model, digest)
    except BundleError:
        return None
