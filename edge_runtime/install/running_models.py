"""Running models of a device: the verified bundle and how to run it, the way back, and the status for people."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, InstallError, SessionError, SessionMemoryError
from edge_runtime.golden import golden_vectors, missed_by
from edge_runtime.install.choices import HowItRuns
from edge_runtime.install.smoke_test import Limits, smoke_test
from edge_runtime.install.state import ModelState, ShadowChoice, models_of, read_state, stamp_of_state, write_state
from edge_runtime.install.store import DeviceStore
from edge_runtime.install.tuning import how_it_runs, portable
from edge_runtime.model_files import HeadGraph
from edge_runtime.settings import CPU, SessionSettings

if TYPE_CHECKING:
    from edge_runtime.backbone import LoadedModel

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class RunningModel:
    """A verified bundle with the graph, its heads, and the session that this device has chosen for it."""

    bundle: Bundle
    graph: Path
    session: SessionSettings
    heads: tuple[HeadGraph, ...] = ()

    @classmethod
    def of(cls, bundle: Bundle, runs: HowItRuns) -> "RunningModel":
        """Return a verified bundle that runs in this way."""
        return cls(bundle, runs.graph, runs.session, runs.heads)

    def load(self, before: object = None) -> "LoadedModel":
        """Load the model as it was chosen to run, else as it was published: an execution provider may be gone by now.

        Sessions of `before`, a model in memory, are taken over where they are those of a graph that has not changed.
        Answers of a provider other than the CPU's are compared with the golden vectors first, as its driver may be
        another one than at the install. Raises SessionError where the portable graph does not load either.
        """
        from edge_runtime.backbone import load_model

        fallback = portable(self.bundle)
        try:
            model = load_model(self.graph, self.session, self.heads, before)
            if self.session.execution_provider != CPU and (missed := missed_by(golden_vectors(self.bundle), model)):
                raise SessionError(f"it answers wrongly here: {missed}")
        except SessionMemoryError:
            raise
        except SessionError as error:
            if (self.graph, self.session) == (fallback.graph, fallback.session):
                raise
            logger.error("%s: the portable graph is used: %s", self.bundle.manifest.model, error)
            return load_model(fallback.graph, fallback.session, fallback.heads, before)
        return model


@dataclass(frozen=True)
class ModelStatus:
    """The status of one model: its state, and the current bundle, the previous one and the shadow; None if damaged.

    `lost` says why its state cannot be read; the state is empty then.
    """

    model: str
    state: ModelState
    current: Bundle | None = None
    previous: Bundle | None = None
    lost: str | None = None
    shadow: Bundle | None = None


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
        return RunningModel.of(bundle, how_it_runs(store, bundle))
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


def shadow_choice(store: DeviceStore, model: str) -> ShadowChoice | None:
    """Return the shadow that the state names; its files are not looked at. Raises InstallError as `current_digest`."""
    return read_state(store.root, model).shadow


def running_shadow(store: DeviceStore, model: str, digest: str) -> RunningModel:
    """Return how a device runs a shadow, every byte of it verified. Raises BundleError."""
    bundle = store.verified(model, digest)
    return RunningModel.of(bundle, how_it_runs(store, bundle))


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
        smoke_test(bundle, portable(bundle), limits)
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
        shadow = None if state.shadow is None else state.shadow.digest
        bundles = (_identified(store, model, digest) for digest in (state.current, state.previous, shadow))
        current, previous, beside = bundles
        found.append(ModelStatus(model, state, current, previous, shadow=beside))
    return found


def _identified(store: DeviceStore, model: str, digest: str | None) -> Bundle | None:
    try:
        return None if digest is None else store.identified(model, digest)
    except BundleError:
        return None
