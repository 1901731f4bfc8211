"""Trust and the install step in the form that the update agent asks for."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.bundle import BLOBS, Blob, Manifest, decode_manifest
from edge_runtime.configuration import UpdateConfiguration
from edge_runtime.errors import BundleError, BundleRefused, InstallError, TrustError
from edge_runtime.files import make_directories
from edge_runtime.install import (
    DeviceStore,
    InstallSettings,
    Limits,
    Tuning,
    check_permitted,
    install,
    installed_digest,
)
from edge_runtime.trust import (
    Fetch,
    NotThere,
    TrustedTarget,
    folder_fetch,
    trust_state,
    trusted_manifest,
    trusted_targets,
)
from edge_runtime.update import OfferedRelease

METADATA = "metadata"
_MOST_ROOT_BYTES = 1 << 20


def store_of(configuration: UpdateConfiguration) -> DeviceStore:
    """Return the store in the state folder of a configuration."""
    return DeviceStore(configuration.state, configuration.device)


def settings_of(configuration: UpdateConfiguration) -> InstallSettings:
    """Return how bundles are tried; the time is that of the metadata where the clock is behind it."""
    floor = trust_state(configuration.state / METADATA).time_floor
    now = datetime.now(UTC)
    choices = configuration.tuning
    tuning = Tuning(choices.graph, choices.threads, choices.providers)
    limits = Limits(configuration.trial.time_s, configuration.trial.memory_mb)
    return InstallSettings(limits, tuning, now if floor is None else max(now, floor))


def shipped_root(configuration: UpdateConfiguration) -> bytes:
    """Return the root that the device was shipped with. Raises TrustError where it cannot be read."""
    try:
        with configuration.root.open("rb") as file:
            return file.read(_MOST_ROOT_BYTES)
    except OSError as error:
        raise TrustError(
            f"{configuration.root}: expected the root of trust that the device was shipped with, got {error.strerror}; "
            "bring it to the device as it was given out with the keys"
        ) from error


@dataclass
class TrustedReleases:
    """The newest releases by verified metadata. Within one run, each file of metadata is asked for once."""

    configuration: UpdateConfiguration
    _seen: dict[str, bytes | NotThere] = field(default_factory=dict)

    def refresh(self, fetch: Fetch) -> None:
        """Verify the metadata anew. Raises as `newest`."""
        self._seen.clear()
        trusted_targets(self._metadata, shipped_root(self.configuration), self._once(fetch), [])

    def newest(self, model: str, fetch: Fetch) -> OfferedRelease:
        """Return the newest release of a model for this device. Raises TrustError, and UpdateError of the carrier."""
        target = self.target(model, fetch)
        try:
            manifest = decode_manifest(target.data)
        except BundleError as error:
            raise BundleRefused(f"The manifest {target.path} is signed, but cannot be used here: {error}") from error
        return OfferedRelease(model, target.sha256, manifest.release, target.data, manifest.blobs, manifest.deltas)

    def target(self, model: str, fetch: Fetch) -> TrustedTarget:
        """Return the verified manifest of a model; one that the device has already is not fetched."""
        root, kept = shipped_root(self.configuration), folder_fetch(self.configuration.state)
        return trusted_manifest(self._metadata, root, self._once(fetch), model, self.configuration.device, kept=kept)

    @property
    def _metadata(self) -> Path:
        return self.configuration.state / METADATA

    def _once(self, fetch: Fetch) -> Fetch:
        def once(path: str, most_bytes: int, /) -> bytes:
            if path not in self._seen:
                try:
                    self._seen[path] = fetch(path, most_bytes)
                except NotThere as error:
                    self._seen[path] = error
            found = self._seen[path]
            if isinstance(found, NotThere):
                raise found
            return found

        return once


@dataclass(frozen=True)
class InstallStep:
    """The install step behind the agent: the blobs are in the store when it is called."""

    configuration: UpdateConfiguration

    @property
    def blobs(self) -> Path:
        """The store's folder of blobs."""
        folder = self.configuration.state / BLOBS
        make_directories(folder)
        return folder

    def installed(self, model: str) -> str | None:
        """Return the digest of the bundle that runs, None where none does or where it is not whole."""
        return installed_digest(store_of(self.configuration), model)

    def check(self, release: OfferedRelease) -> None:
        """Raise BundleRefused for what this device must not run, before anything of it is fetched; else make room.

        A kill may have come between a commit and the removal of what it left over. Raises StoreBusy as an install does.
        """
        store, settings = store_of(self.configuration), settings_of(self.configuration)
        check_permitted(store, release.model, release.manifest, settings)
        with store.only_installer():
            store.clean(frozenset(blob.sha256 for blob in release.blobs))

    def install(self, release: OfferedRelease) -> None:
        """Try a release, and let it run. Raises InstallError."""
        store, settings = store_of(self.configuration), settings_of(self.configuration)
        install(store, release.model, release.manifest, _Fetched(), settings)


class _Fetched:
    """A source of nothing: the carrier has brought everything already."""

    def bring(self, blob: Blob, manifest: Manifest, store: DeviceStore) -> None:
        """Raise InstallError: the blob was there, and is not any more."""
        raise InstallError(
            f"{store.root}: expected the blob {blob.sha256} of {manifest.model}, which was fetched, got none; see what "
            "else writes there, and run again"
        )
