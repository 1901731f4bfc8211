"""Sources of models: a bundle that somebody names, or what a device's store says that runs now."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from edge_runtime.bundle import identify_bundle, read_bundle
from edge_runtime.install import (
    DeviceStore,
    RunningModel,
    ShadowBudget,
    current_digest,
    portable,
    running,
    running_shadow,
    shadow_choice,
    state_stamp,
)


@dataclass(frozen=True)
class WantedShadow:
    """A bundle that is to be compared with the one that serves, and its budget; `since` tells choices of one apart.

    `read` verifies it, every byte, and returns how to run it. It raises BundleError or InstallError.
    """

    digest: str
    budget: ShadowBudget
    read: Callable[[], RunningModel] = field(compare=False)
    since: str = ""


class ModelSource(Protocol):
    """The place that says which bundle of a model is to be served; `model` is its name."""

    model: str

    def stamp(self) -> object:
        """Return a value that differs once there may be another bundle; asked often, so it reads next to nothing."""
        ...

    def digest(self) -> str | None:
        """Return the digest of the bundle to serve; None where there is none. Raises InstallError."""
        ...

    def read(self) -> RunningModel:
        """Verify the bundle to serve, every byte, and return how to run it. Raises BundleError or InstallError."""
        ...

    def shadow(self) -> WantedShadow | None:
        """Return the shadow of the bundle to serve; asked as often as `stamp`. Raises InstallError."""
        ...


class BundleSource:
    """One bundle, by the path of its manifest; it never changes. Raises BundleError for what is no manifest."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        bundle = identify_bundle(self._path)
        self.model, self._digest = bundle.manifest.model, bundle.digest

    def stamp(self) -> object:
        """Return the same value always."""
        return self._digest

    def digest(self) -> str | None:
        """Return the bundle's digest."""
        return self._digest

    def read(self) -> RunningModel:
        """Verify the bundle, and return it with the graph and the session that it was measured with."""
        bundle = read_bundle(self._path)
        return RunningModel.of(bundle, portable(bundle))

    def shadow(self) -> WantedShadow | None:
        """Return None."""
        return None

    def as_shadow(self, budget: ShadowBudget) -> WantedShadow:
        """Return this bundle as a shadow of another one."""
        return WantedShadow(self._digest, budget, self.read)


class StoreSource:
    """A model of a device's store, which another process installs into."""

    def __init__(self, store: DeviceStore, model: str) -> None:
        self._store = store
        self.model = model
        self._looked_at: object = None
        self._shadow: WantedShadow | None = None

    def stamp(self) -> object:
        """Return the state file's identity: it is replaced whenever the state changes."""
        return state_stamp(self._store, self.model)

    def digest(self) -> str | None:
        """Return the digest of the current bundle. Raises InstallError where the state cannot be read."""
        return current_digest(self._store, self.model)

    def read(self) -> RunningModel:
        """Return what this device runs, or the bundle before it where the current one is damaged."""
        return running(self._store, self.model)

    def shadow(self) -> WantedShadow | None:
        """Return the shadow that the state names, read again where it has changed."""
        stamp = self.stamp()
        if stamp != self._looked_at:
            self._shadow = None
            if (choice := shadow_choice(self._store, self.model)) is not None:
                read = partial(running_shadow, self._store, self.model, choice.digest)
                self._shadow = WantedShadow(choice.digest, choice.budget, read, choice.since)
            self._looked_at = stamp  # last: a read that failed is tried again
        return self._shadow
