"""The install step: a bundle from a source into the device's store, tried before it runs, committed in one step.

The order is what keeps a working model at every power cut. The blobs are synced, then their names, then the manifest.
The trial is recorded before the risk. One replaced file commits: it names the bundle that runs and the one before it,
whose files are never touched. What is left over goes last.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from edge_runtime.bundle import (
    BLOBS,
    OVERRIDDEN,
    PASSED,
    Blob,
    Bundle,
    Manifest,
    check_runs_here,
    decode_manifest,
)
from edge_runtime.cpu import this_instruction_set
from edge_runtime.errors import BundleError, BundleRefused, DeviceFailed, InstallError
from edge_runtime.files import make_directories
from edge_runtime.install.daily_look import is_intact
from edge_runtime.install.shadow_terms import ShadowBudget, shadow_misfit
from edge_runtime.install.smoke_test import Limits, smoke_test
from edge_runtime.install.sources import Source
from edge_runtime.install.state import (
    MOST_ATTEMPTS,
    ModelState,
    ShadowChoice,
    read_state,
    recovered_state,
    write_state,
)
from edge_runtime.install.store import DeviceStore
from edge_runtime.install.tuning import Tuning, portable, tune

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class InstallSettings:
    """Limits of the smoke test, and what may be tuned; `now` is the time that counts, in UTC."""

    limits: Limits = field(default_factory=Limits)
    tuning: Tuning = field(default_factory=Tuning)
    now: datetime | None = None

    @property
    def time(self) -> datetime:
        """The time that counts: that of the verified metadata where the device's clock is behind it."""
        return datetime.now(UTC) if self.now is None else self.now


@dataclass(frozen=True)
class Installed:
    """The end of an install: the bundle that runs now, and whether it was put there by this step."""

    bundle: Bundle
    changed: bool


def install(
    store: DeviceStore, model: str, data: bytes, source: Source, settings: InstallSettings, *, again: bool = False
) -> Installed:
    """Bring the bundle of a trusted manifest into the store, try it, and let it run from then on.

    `data` are the manifest's bytes, which somebody else has verified against its signatures. `again` tries one that
    failed before. Whatever is raised, what ran before goes on running: BundleRefused for a bundle that this device must
    not run or that failed its trial, which is recorded; DeviceFailed for a disk that is full or fails; StoreBusy where
    another process installs; another InstallError, or an UpdateError, where something else is in the way.
    """
    manifest, digest = decode_manifest(data), hashlib.sha256(data).hexdigest()
    _check_names(store, model, manifest)
    with store.only_installer():
        state = recovered_state(store.root, model)
        state = state.permitting(digest) if again else state
        _check_permitted(manifest, digest, state, settings)
        if state.current == digest and (whole := _whole(store, model, digest)) is not None:
            store.clean()  # a power cut may have come before it
            return Installed(whole, changed=False)

        def tried(bundle: Bundle) -> None:
            if state.current != digest:  # one that only lost some of its bytes has had its trial
                passed = _tried(store, bundle, state, settings).committed(digest, _utc_now())
                write_state(store.root, model, passed)
                logger.info("%s: version %s runs from now on (%s)", model, manifest.version, digest[:12])

        return _put(store, manifest, data, source, tried)


def install_shadow(
    store: DeviceStore, model: str, data: bytes, source: Source, settings: InstallSettings, budget: ShadowBudget,
    *, again: bool = False,
) -> Installed:  # fmt: skip
    """Bring the bundle of a trusted manifest into the store, try it as `install` does, and let it be the shadow.

    What runs goes on running. One that is the shadow already gets the new budget. Raises as `install`, and InstallError
    where nothing runs, where this very bundle does, and where its tensors or its memory do not fit.
    """
    manifest, digest = decode_manifest(data), hashlib.sha256(data).hexdigest()
    _check_names(store, model, manifest)
    with store.only_installer():
        state = read_state(store.root, model)
        state = state.permitting(digest) if again else state
        _check_permitted(manifest, digest, state, settings)
        _check_beside(store, manifest, digest, state)
        budget.check_memory(manifest)
        is_shadow = state.shadow is not None and state.shadow.digest == digest
        choice = ShadowChoice(digest, budget, _utc_now())
        if is_shadow and (whole := _whole(store, model, digest)) is not None:
            write_state(store.root, model, state.shadowed(choice))
            return Installed(whole, changed=False)

        def tried(bundle: Bundle) -> None:
            passed = state if is_shadow else _tried(store, bundle, state, settings)
            write_state(store.root, model, passed.shadowed(choice))

        return _put(store, manifest, data, source, tried)


def end_shadow(store: DeviceStore, model: str) -> bool:
    """Remove the shadow of a model, if it has one; return whether it had. Raises InstallError."""
    with store.only_installer():
        state = read_state(store.root, model)
        if state.shadow is not None:
            write_state(store.root, model, state.without_shadow())
            store.clean()
        return state.shadow is not None


def check_permitted(store: DeviceStore, model: str, data: bytes, settings: InstallSettings) -> None:
    """Raise BundleRefused, or BundleError, for a manifest that `install` would refuse before anything is brought."""
    manifest, digest = decode_manifest(data), hashlib.sha256(data).hexdigest()
    _check_names(store, model, manifest)
    _check_permitted(manifest, digest, _known_state(store, model), settings)


def installed_digest(store: DeviceStore, model: str) -> str | None:
    """Return the digest of the bundle that runs; None where none does, or where a file of it is lost or damaged.

    Sizes are looked at each time, bytes once a day: a device asks this every hour.
    """
    digest = _known_state(store, model).current
    try:
        whole = digest is not None and store.is_complete(model, digest)
        return digest if digest is not None and whole and is_intact(store, model, digest, datetime.now(UTC)) else None
    except BundleError:
        return None


def _known_state(store: DeviceStore, model: str) -> ModelState:
    """Return the state of a model; an empty one where it is lost, which the next install begins anew."""
    try:
        return read_state(store.root, model)
    except InstallError:
        return ModelState()


def _check_names(store: DeviceStore, model: str, manifest: Manifest) -> None:
    if (manifest.model, manifest.device) != (model, store.device):
        raise BundleRefused(
            f"Expected a bundle of {model} for {store.device}, got {_what(manifest)}; see who signed it."
        )


def _what(manifest: Manifest) -> str:
    return f"{manifest.model} version {manifest.version} for {manifest.device}"


def _check_permitted(manifest: Manifest, digest: str, state: ModelState, settings: InstallSettings) -> None:
    """Raise BundleRefused for a bundle that this device must not run: the gate is enforced here once more."""
    what = _what(manifest)
    reason = state.reason_against(digest)
    if reason is not None:
        raise BundleRefused(f"{what} is not tried again: {reason} Say `install --again` to try it all the same.")
    _check_verdict(what, manifest, settings.time.date())
    here = this_instruction_set()
    if not manifest.validity.holds_on(here):
        raise BundleRefused(
            f"{what}: its verdict holds for {', '.join(manifest.validity.instruction_sets) or 'no CPU'}, and this "
            f"device has {here or 'a CPU that no profile names'}. Publish for a device of this class, or accept the "
            "answers of another CPU in the recipe."
        )
    if manifest.golden is None:
        raise BundleRefused(f"{what} has no golden vectors to try it with; publish it again with this release.")
    try:
        check_runs_here(manifest)
    except BundleError as error:
        raise BundleRefused(str(error)) from error


def _check_verdict(what: str, manifest: Manifest, today: date) -> None:
    verdict = manifest.lineage.get("verdict")
    if verdict not in (PASSED, OVERRIDDEN) or not manifest.lineage.get("verdict_sha256"):
        raise BundleRefused(
            f"{what} has the verdict {verdict!r}: only what passed its gates or was approved runs here."
        )
    if verdict == OVERRIDDEN:
        until = manifest.approval["approved_until"]
        try:
            ended = date.fromisoformat(until) < today
        except ValueError:
            ended = True
        if ended:
            raise BundleRefused(f"{what} was approved until {until}, which is over; approve or publish it again.")


def _check_beside(store: DeviceStore, manifest: Manifest, digest: str, state: ModelState) -> None:
    """Raise InstallError for a bundle that cannot be compared with the one that runs."""
    what = _what(manifest)
    if state.current is None:
        raise InstallError(f"{what} can be no shadow: nothing of {manifest.model} runs here; install a release first.")
    if state.current == digest:
        raise InstallError(f"{what} can be no shadow: it runs already.")
    serves = store.identified(manifest.model, state.current).manifest
    missed = shadow_misfit(serves.inputs, serves.outputs, manifest.inputs, manifest.outputs)
    if missed is not None:
        raise InstallError(f"{what} can be no shadow: {missed}; install it, or give one with the same tensors.")


def _put(
    store: DeviceStore, manifest: Manifest, data: bytes, source: Source, tried: Callable[[Bundle], None]
) -> Installed:
    """Bring a bundle, let it be tried, and remove what is left over."""
    try:
        bundle = _brought(store, manifest, data, hashlib.sha256(data).hexdigest(), source)
        tried(bundle)
    except OSError as error:
        raise DeviceFailed(
            f"{store.root}: expected to write {manifest.model} version {manifest.version}, got {error}; cure the "
            "cause, and run again. What ran before goes on running"
        ) from error
    store.clean()
    return Installed(bundle, changed=True)


def _utc_now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _whole(store: DeviceStore, model: str, digest: str) -> Bundle | None:
    try:
        return store.verified(model, digest)
    except BundleError as error:
        logger.warning("%s: what runs is damaged, and is brought again: %s", model, error)
        return None


def _brought(store: DeviceStore, manifest: Manifest, data: bytes, digest: str, source: Source) -> Bundle:
    """Bring what is missing of a bundle into the store, durably, and return it, every byte verified."""
    missing = store.missing(manifest)
    store.clean(frozenset(blob.sha256 for blob in manifest.blobs))
    store.check_space(manifest, missing)
    make_directories(store.root / BLOBS)
    for blob in missing:
        _bring(store, manifest, blob, source)
    store.put_manifest(manifest.model, digest, data)
    return store.identified(manifest.model, digest)


def _bring(store: DeviceStore, manifest: Manifest, blob: Blob, source: Source) -> None:
    source.bring(blob, manifest, store)
    try:
        store.put_part(blob)
    except BundleError as error:
        store.part_path(blob.sha256).unlink(missing_ok=True)
        raise InstallError(f"{error} What was brought is removed.") from error


def _with_its_backbone(store: DeviceStore, bundle: Bundle, state: ModelState) -> Bundle | None:
    """Return the bundle that runs now, where it has the backbone of this one; None where nothing shows that."""
    if state.current is None or not bundle.heads:
        return None
    try:
        before = store.identified(bundle.manifest.model, state.current)
    except BundleError:
        return None
    same = before.entry_path == bundle.entry_path and before.manifest.session == bundle.manifest.session
    return before if same and before.heads else None


def _tried(store: DeviceStore, bundle: Bundle, state: ModelState, settings: InstallSettings) -> ModelState:
    """Try a bundle; refuse it for good where it fails. Returns the state that is on the disk."""
    model, digest = bundle.manifest.model, bundle.digest
    if state.attempts_of(digest) >= MOST_ATTEMPTS:
        reason = f"The device went down in {MOST_ATTEMPTS} trials of it."
        write_state(store.root, model, state.refusing(digest, reason))
        raise BundleRefused(f"{model} version {bundle.manifest.version} is not tried again: {reason}")
    state = state.trying(digest)
    write_state(store.root, model, state)  # before the risk: if the device goes down now, this is known
    try:
        seen = smoke_test(bundle, portable(bundle), settings.limits)
    except (BundleRefused, BundleError) as error:
        write_state(store.root, model, state.refusing(digest, str(error)))
        store.clean()
        raise BundleRefused(str(error)) from error
    if state.attempts_of(digest) < MOST_ATTEMPTS:  # else tuning may be what took the device down, not the bundle
        tune(store, bundle, seen, settings.tuning, settings.limits, _with_its_backbone(store, bundle, state))
    return state
