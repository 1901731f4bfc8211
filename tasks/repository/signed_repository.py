"""The signed repository: which manifest each device is offered, signed so that every device can check it.

Versioned names are created and never overwritten, and `timestamp.json` alone is replaced, last: readers on any store
see the state before or after, and never a part. Two publishers need no lock. One of them gets each version number; the
other reads again, takes what the first has signed into its own, and tries the next number. Whatever a killed publisher
had signed is found and finished by whoever comes next.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Collection
from copy import deepcopy
from datetime import datetime, timedelta
from hashlib import sha256

from securesystemslib.dsse import Envelope
from tuf.api.metadata import Root, Snapshot, TargetFile, Targets, Timestamp

from edge_runtime.trust import SIGNED_AT, time_text
from tasks.errors import KeysError, SystemFailure
from tasks.repository.expiry import ExpiryPeriods, utc_now
from tasks.repository.objects import ObjectStore
from tasks.repository.signing import (
    HASHES,
    TIMESTAMP,
    Content,
    SignedFile,
    Signers,
    device_of,
    enough_signers,
    keys_of,
    manifest_name,
    most_bytes,
    name_of,
    role_of,
    sign,
    signed_when,
    target_path,
)
from tasks.repository.state import Found, State, StateReader

logger = logging.getLogger("edgewright")
CUSTOM, RELEASE = "custom", "release"
"""Keys of a target's entry: what TUF leaves to applications, and in it the release number."""
MOST_BYTES = 5_000_000
"""Bytes of a manifest, at most."""
ATTEMPTS = 60
PAUSE_S = 0.1
BACKWARDS = timedelta(hours=1)
"""A clock may be this far behind the last timestamp's; further behind, it is wrong."""


class SignedRepository:
    """A repository in an object store, with the keys that are on this machine.

    `pinned` are the bytes of its first root, where this machine keeps them; `clock` returns the time in UTC.
    """

    def __init__(
        self,
        store: ObjectStore,
        signers: Signers,
        periods: ExpiryPeriods | None = None,
        pinned: bytes | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.store = store
        self.periods = periods or ExpiryPeriods()
        self.reader = StateReader(store, pinned)
        self._signers, self._clock = signers, clock

    def now(self) -> datetime:
        """Return the time by this machine's clock."""
        return self._clock()

    def is_begun(self) -> bool:
        """Tell whether the store has a root."""
        return bool(self.reader.roots())

    def publish(self, model: str, device: str, manifest: bytes, release: int = 0) -> str:
        """Offer a manifest to the devices of a profile, in place of an older one of the model; return its sha256.

        Its release number is signed with it: what has a higher number stays, whoever comes late. Safe to repeat, and
        beside others. Raises KeysError where the keys for it are not here, and SystemFailure.
        """
        self.check_keys(device)
        digest = sha256(manifest).hexdigest()
        path, name = target_path(model, device), manifest_name(model, device, digest)
        if not self.store.create(name, manifest) and self.store.read(name, MOST_BYTES) != manifest:
            raise SystemFailure(
                f"{self.store.address}/{name}: expected the manifest that its name says, got other bytes; remove it by "
                "hand, and run again"
            )
        entry = TargetFile.from_data(path, manifest, HASHES)
        if release:
            entry.unrecognized_fields[CUSTOM] = {RELEASE: release}
        self._edit(role_of(device), lambda targets: _put(targets, entry))
        return digest

    def withdraw(self, model: str, device: str) -> bool:
        """Offer nothing of a model to the devices of a profile any more; False where nothing was offered.

        A device keeps what it has. Its manifest stays as a file that nothing names.
        """
        path = target_path(model, device)
        return self._edit(role_of(device), lambda targets: targets.targets.pop(path, None) is not None)

    def targets_now(self, model: str, device: str) -> TargetFile | None:
        """Return the entry of what readers are offered now; None where nothing is."""
        role = self.reader.offered(role_of(device))
        return None if role is None else role.targets.get(target_path(model, device))

    def envelope(self, device: str, kind: str, content: bytes) -> bytes:
        """Return content in a DSSE envelope on one line, signed with the keys of a device profile that are here.

        `kind` is the content's media type. The same keys make the same bytes. Raises KeysError where none is here.
        """
        state = self._whole_state()
        self._found(state, role_of(device))
        signers = enough_signers(self._signers, state.targets.signed, role_of(device))
        made = Envelope(content, kind, {})
        for signer in sorted(signers, key=lambda each: each.public_key.keyid):
            made.sign(signer)
        return (json.dumps(made.to_dict(), sort_keys=True, separators=(",", ":")) + "\n").encode()

    def resign(self) -> list[str]:
        """Sign again what would expire: the timestamp always, the rest when half of its time is over.

        Returns the roles of devices that are due and whose keys are not here. What others left unfinished is finished.
        """
        began, missing = self._clock(), []
        self.store.tidy("metadata")
        for role, found in self._whole_state().roles.items():
            if found.best is None or not self.periods.is_due(role, found.best.signed.expires, began):
                continue
            try:
                self._edit(role, lambda _: True, show=False)
            except KeysError as error:  # the key of another worker; the rest is signed all the same
                logger.warning("%s", error)
                missing.append(role)
        self.complete(since=began)
        return missing

    def check_online(self, root: Root) -> None:
        """Raise KeysError where the keys that a root names for snapshot and timestamp are not here."""
        for role in ("snapshot", "timestamp"):
            enough_signers(self._signers, root, role)

    def complete(
        self, since: datetime | None = None, signed_by: str | None = None, emptied: Collection[str] = ()
    ) -> None:
        """Bring snapshot, timestamp and timestamp.json up to everything that is signed.

        With `since`, the timestamp is one that was signed after it; with `signed_by`, both have the signature of that
        key. The roles `emptied` offer nothing at first under a new key. Raises KeysError where a key is not here.
        """
        for _ in range(ATTEMPTS):
            state = self._whole_state(emptied)
            snapshot = self._snapshot(state, signed_by)
            timestamp = None if snapshot is None else self._timestamp(state, snapshot, since, signed_by)
            if timestamp is None:
                _wait()
            elif timestamp.data == state.shown:
                return
            elif not self.store.replace(TIMESTAMP, timestamp.data, over=state.shown):
                _wait()
        raise self._crowded("timestamp")

    def _edit(self, role: str, change: Callable[[Targets], bool], show: bool = True) -> bool:
        """Sign a new version of a device's role where the change makes a difference, and show it to readers."""
        changed = self._changed(role, change)
        if show:
            self.complete()
        return changed

    def _changed(self, role: str, change: Callable[[Targets], bool]) -> bool:
        for _ in range(ATTEMPTS):
            state = self._whole_state()
            content = deepcopy(self._found(state, role).signed)
            if not change(content):
                return False
            if self._sign_role(role, content, state.targets.signed, state.roles[role].last):
                return True
            logger.info("%s: another publisher signed it at the same time; signing again with what it has", role)
            _wait()
        raise self._crowded(role)

    def check_keys(self, device: str) -> None:
        """Raise KeysError where the keys that a publication for a device profile needs are not here."""
        role, state = role_of(device), self._whole_state()
        self._found(state, role)
        enough_signers(self._signers, state.targets.signed, role)
        self.check_online(state.root.signed)

    def _found(self, state: State, role: str) -> SignedFile[Targets]:
        found = state.roles.get(role, Found[Targets](None, 0)).best
        if found is None:
            device = device_of(role)
            raise KeysError(
                f"device `{device}`: expected a key for its profile, got none in the repository "
                f"{self.store.address}; make one with edgewright keys add {device}"
            )
        return found

    def _whole_state(self, emptied: Collection[str] = ()) -> State:
        """Return the state, after signing the roles whose new keys are here and have signed nothing yet."""
        for _ in range(ATTEMPTS):
            state = self.reader.state()
            self._check_clock(state.root.signed, state.timestamp.best, self._clock())
            if not self._hand_over(state, emptied):
                return state
        raise self._crowded("targets")

    def _hand_over(self, state: State, emptied: Collection[str]) -> bool:
        """Sign roles with the new keys that targets name, as far as they are here; tell whether anything was signed."""
        targets = (state.newer or state.targets).signed
        before = {} if state.snapshot.best is None else state.snapshot.best.signed.meta
        missing = [(role, found) for role, found in self.reader.roles_under(targets, before).items() if not found.best]
        signed = False
        for role, found in missing:
            keys = keys_of(targets, role)
            if len(self._signers(role, keys)) < targets.get_delegated_role(role).threshold:
                continue
            old = state.roles.get(role, Found[Targets](None, 0))
            kept = old.best or self.reader.trusted_before(role, targets, before.get(f"{role}.json"))
            content = Targets() if kept is None or role in emptied else deepcopy(kept.signed)
            signed |= self._sign_role(role, content, targets, max(found.last, old.last))
        return signed

    def _sign_role(self, role: str, content: Targets, delegator: Targets, last: int) -> bool:
        content.version, content.expires = last + 1, self.periods.end("device", self._clock())
        return self._create(role, sign(content, enough_signers(self._signers, delegator, role)))

    def _snapshot(self, state: State, signed_by: str | None) -> SignedFile[Snapshot] | None:
        """Return a snapshot of everything, made where the newest one is not; None where another took its number."""
        now, best = self._clock(), state.snapshot.best
        due = best is None or self.periods.is_due("snapshot", best.signed.expires, now)
        if best is not None and not due and best.signed.meta == state.meta and _has(best, signed_by):
            return best
        content = Snapshot(state.snapshot.last + 1, expires=self.periods.end("snapshot", now), meta=state.meta)
        made = sign(content, enough_signers(self._signers, state.root.signed, "snapshot"))
        return made if self._create("snapshot", made) else None

    def _timestamp(
        self, state: State, snapshot: SignedFile[Snapshot], since: datetime | None, signed_by: str | None
    ) -> SignedFile[Timestamp] | None:
        """Return a timestamp of a snapshot, made where the newest one is not; None where another took its number."""
        now, best = self._clock(), state.timestamp.best
        if best is not None and _is_of(best, snapshot) and _has(best, signed_by):
            due = self.periods.is_due("timestamp", best.signed.expires, now)
            if not due and (since is None or signed_when(best.signed) >= since.replace(microsecond=0)):
                return best
        content = Timestamp(
            state.timestamp.last + 1, expires=self.periods.end("timestamp", now), snapshot_meta=snapshot.meta,
            unrecognized_fields={SIGNED_AT: time_text(now if best is None else max(now, signed_when(best.signed)))},
        )  # fmt: skip
        made = sign(content, enough_signers(self._signers, state.root.signed, "timestamp"))
        return made if self._create("timestamp", made) else None

    def _check_clock(self, root: Root, best: SignedFile[Timestamp] | None, now: datetime) -> None:
        """Raise SystemFailure for a clock by which devices would set theirs wrong: it is before the last timestamp.

        Raises KeysError where the root has expired by this clock.
        """
        if best is not None and now + BACKWARDS < signed_when(best.signed):
            raise SystemFailure(
                f"clock: expected a time after {time_text(signed_when(best.signed))}, when the timestamp was last "
                f"signed, got {time_text(now)}; set the clock of this machine, or of the one that signed last"
            )
        if now >= root.expires:
            raise KeysError(
                f"root: expected one that counts, got one that expired at {time_text(root.expires)}, which devices "
                "refuse; sign it again with edgewright keys renew root, or set this machine's clock"
            )

    def _create(self, role: str, file: SignedFile[Content]) -> bool:
        """Create the next version of a role; True also where an earlier call, whose answer was lost, did it."""
        name = name_of(role, file.version)
        return self.store.create(name, file.data) or self.store.read(name, most_bytes(role)) == file.data

    def _crowded(self, role: str) -> SystemFailure:
        return SystemFailure(
            f"{self.store.address}: expected a version number of {role}, got none in {ATTEMPTS} attempts, as others "
            "took each of them; run again"
        )


def release_of(entry: TargetFile | None) -> int:
    """Return the release number that is signed with a manifest, 0 for none."""
    custom = {} if entry is None else entry.unrecognized_fields.get(CUSTOM)
    number = custom.get(RELEASE) if isinstance(custom, dict) else None
    return number if isinstance(number, int) else 0


def _put(targets: Targets, entry: TargetFile) -> bool:
    now = targets.targets.get(entry.path)
    if now == entry or release_of(now) > release_of(entry):
        return False
    targets.targets[entry.path] = entry
    return True


def _is_of(timestamp: SignedFile[Timestamp], snapshot: SignedFile[Snapshot]) -> bool:
    return snapshot.is_named_by(timestamp.signed.snapshot_meta)


def _has(file: SignedFile[Content], signed_by: str | None) -> bool:
    return signed_by is None or signed_by in file.metadata.signatures


def _wait() -> None:
    """Wait for a moment of chance, so that two publishers do not meet again at once."""
    time.sleep(random.uniform(0, PAUSE_S))
