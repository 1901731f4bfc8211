"""Work on the keys of a repository: what `edgewright keys` does, as sentences for the person who asked for it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Key, Signer
from tuf.api.metadata import Root

from tasks.errors import KeysError
from tasks.repository.beginning import Beginning, RootShape, check_device, one_key
from tasks.repository.key_changes import KeyChange, change_lines, publish_change
from tasks.repository.key_files import KeyFiles, Passphrases
from tasks.repository.key_plans import KeyPlans
from tasks.repository.signed_repository import SignedRepository
from tasks.repository.signing import ONLINE, enough_signers, role_of, short
from tasks.repository.state import State

logger = logging.getLogger("edgewright")
BEGUN = "change-in-progress.json"
"""File beside the worker's keys with a change that is being published, so that a kill in between is completed."""
BY_PERSONS = ("root", "targets")


@dataclass(frozen=True)
class KeyWork:
    """A repository, the folder of the worker's keys on this machine, and the passphrases of the person who asks."""

    repository: SignedRepository
    worker: Path
    passphrases: Passphrases

    def begin(self, offline: Path, shape: RootShape, devices: Sequence[str]) -> None:
        """Make keys and an empty repository, or complete what an earlier attempt began. Raises KeysError."""
        places = self._worker_keys, self._persons([offline])
        Beginning(self.repository, self.worker, places[0], offline, places[1], shape, devices).run()

    def add(self, device: str, given: Sequence[Path], change: Path | None) -> list[str]:
        """Make a key for a device profile, and let persons' keys delegate to it."""
        check_device(device)
        if done := self._finish(why := f"add {device}"):
            return done
        plans = self._plans()
        if role_of(device) in plans.state.roles:
            raise KeysError(
                f"device `{device}`: expected a profile without a key, got one that has one; make a new key with "
                f"edgewright keys rotate {device}"
            )
        self._check_persons("targets", given, change)
        key = self._new(self._worker_keys, self.worker, role_of(device))
        return self._settle(plans.add(device, key.public_key), why, self._persons(given), change)

    def renew(self, role: str, given: Sequence[Path], change: Path | None) -> list[str]:
        """Sign root or targets again with the keys that count."""
        if role not in BY_PERSONS:
            raise KeysError(
                f"{role}: expected root or targets, which persons sign, got another role; the worker signs it again by "
                "itself, or edgewright keys resign"
            )
        if done := self._finish(why := f"renew {role}"):
            return done
        self._check_persons(role, given, change)
        return self._settle(self._plans().renew(role), why, self._persons(given), change)

    def rotate(self, named: str, given: Sequence[Path], offline: Path | None, change: Path | None) -> list[str]:
        """Replace all keys of a role by new ones: root, targets, online, or the name of a device profile."""
        if done := self._finish(why := f"rotate {named}"):
            return done
        role = named if named in (*BY_PERSONS, ONLINE) else role_of(named)
        return self._replace(role, tuple(self._plans().keys(role)), why, given, offline, change)

    def revoke(
        self,
        shown: str,
        given: Sequence[Path],
        offline: Path | None,
        change: Path | None,
        *,
        empty: bool = False,
        rebuild: bool = False,
    ) -> list[str]:
        """Replace one key by a new one, named by its id.

        With `empty`, a device is offered nothing until a release. With `rebuild`, nothing that the online key has
        signed is looked at: snapshot and timestamp are made anew from what the other keys have signed.
        """
        if done := self._finish(why := f"revoke {shown}"):
            return done
        self.repository.reader.rebuilds = rebuild
        role, keyid = self._plans().role_of_key(shown)
        for asked, option, fits in ((empty, "--empty", role not in (*BY_PERSONS, ONLINE)),
                                    (rebuild, "--rebuild", role == ONLINE)):  # fmt: skip
            if asked and not fits:
                kind = "a key of a device profile" if option == "--empty" else "the online key"
                raise KeysError(f"{shown}: expected {option} with {kind}, got one of {role}; leave it out")
        return self._replace(role, (keyid,), why, given, offline, change, empty=empty, rebuild=rebuild)

    def sign(self, file: Path, given: Sequence[Path]) -> list[str]:
        """Add the signatures of a person's keys to a change."""
        change = KeyChange.load(file)
        state = self._state(change)
        signed = change.with_signatures(state.root.signed, self._persons(given))
        signed.save(file)
        return [*change_lines(signed, state), *_still_missing(signed, state.root.signed, file)]

    def shown(self, file: Path) -> list[str]:
        """Say what a change would do, without signing it."""
        change = KeyChange.load(file)
        return change_lines(change, self._state(change))

    def publish(self, file: Path) -> list[str]:
        """Publish a change that is signed by enough persons."""
        change = KeyChange.load(file)
        publish_change(self.repository, change)
        return [f"Published: {change.why}."]

    def here(self, keyid: str) -> bool:
        """Tell whether a key is among the worker's on this machine."""
        return self.worker.is_dir() and self._worker_keys.has(keyid)

    def _replace(
        self, role: str, gone: Sequence[str], why: str, given: Sequence[Path], offline: Path | None,
        change: Path | None, *, empty: bool = False, rebuild: bool = False,
    ) -> list[str]:  # fmt: skip
        plans = self._plans()
        self._check_persons("root" if role in (*BY_PERSONS, ONLINE) else "targets", given, change)
        files, folders = self._worker_keys, [self.worker] * len(gone)
        if role in BY_PERSONS:
            if offline is None:
                raise KeysError(
                    f"{role}: expected a folder for the new keys of persons, got none; name one by --offline"
                )
            offline.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = self._persons([offline])
            folders = [offline / f"holder-{number}" for number in range(1, len(gone) + 1)]
        new = [self._new(files, folder, role) for folder in folders]
        public = [signer.public_key for signer in new]
        planned = plans.replace(role, gone, public, why, empty=empty, rebuild=rebuild)
        both = _Both(self._persons(given), {signer.public_key.keyid: signer for signer in new})
        return [*self._settle(planned, why, both, change), *self._then(role, gone, folders)]

    def _settle(self, planned: KeyChange, why: str, signers: "KeyFiles | _Both", file: Path | None) -> list[str]:
        """Sign a change with the keys at hand; publish it where these are enough, or write it down for others."""
        root = self.repository.reader.root().signed
        signed = planned.with_signatures(root, signers)
        if missing := signed.missing(root):
            if file is None:
                raise KeysError(f"{why}: expected every signature, got fewer: {' '.join(missing)} Collect them with "
                                "--change FILE")  # fmt: skip
            signed.save(file)
            return _still_missing(signed, root, file)
        signed.save(self.worker / BEGUN)
        return self._published(signed)

    def _published(self, change: KeyChange) -> list[str]:
        publish_change(self.repository, change)
        (self.worker / BEGUN).unlink(missing_ok=True)
        return [f"Published: {change.why}."]

    def _finish(self, why: str) -> list[str]:
        """Complete a change that a killed command began; return what is said of it where it is the one asked for."""
        file = self.worker / BEGUN
        if not file.exists():
            return []
        begun = KeyChange.load(file)
        try:
            said = self._published(begun)
        except KeysError as error:
            file.rename(file.with_suffix(".given-up"))
            raise KeysError(
                f"{begun.why}: expected to complete it, which a command began that was ended; {error} It is given up "
                f"and kept as {file.with_suffix('.given-up')}: see edgewright keys status"
            ) from error
        if begun.why == why:
            return said
        logger.warning("%s, which was begun before, is completed first", begun.why)
        return []

    def _state(self, change: KeyChange) -> State:
        self.repository.reader.rebuilds = change.rebuilds
        return self.repository.reader.state()

    def _plans(self) -> KeyPlans:
        return KeyPlans(self.repository.reader.state(), self.repository.periods, self.repository.now())

    def _check_persons(self, role: str, given: Sequence[Path], change: Path | None) -> None:
        """Raise KeysError before anything is changed where the keys of persons are too few to go on."""
        files = self._persons(given)
        files.paths()
        if change is None:
            enough_signers(files, self.repository.reader.root().signed, role)

    def _new(self, files: KeyFiles, folder: Path, role: str) -> CryptoSigner:
        """Return a new key of a role, or one that a killed attempt left unused."""
        used = [short(keyid) for root in self.repository.reader.roots() for keyid in root.signed.keys]
        used += [
            short(keyid)
            for file in self.repository.reader.every_targets()
            if file.signed.delegations is not None
            for keyid in file.signed.delegations.keys
        ]
        return one_key(files, folder, role, used)

    def _then(self, role: str, gone: Sequence[str], folders: Sequence[Path]) -> list[str]:
        """Say what is to be done with the keys that were replaced, and with the new ones."""
        if role in BY_PERSONS:
            return [f"New keys are in {folders[0].parent}: give each folder to its holder, and destroy the old files."]
        old = [str(path) for path in self._worker_keys.paths() if path.stem[-12:] in map(short, gone)]
        return [
            f"The new key is in {self.worker}. Copy it to every other machine that publishes for it.",
            *([f"Destroy {', '.join(old)}."] if old else []),
        ]

    @property
    def _worker_keys(self) -> KeyFiles:
        return KeyFiles([self.worker], self.passphrases)

    def _persons(self, places: Sequence[Path]) -> KeyFiles:
        return KeyFiles(places, self.passphrases, persons=True)


@dataclass(frozen=True)
class _Both:
    """Signers of key files that were given, and of keys that were made just now."""

    given: KeyFiles
    made: Mapping[str, CryptoSigner]

    def __call__(self, role: str, keys: Mapping[str, Key]) -> list[Signer]:
        others = {keyid: key for keyid, key in keys.items() if keyid not in self.made}
        return [*self.given(role, others), *(self.made[keyid] for keyid in keys if keyid in self.made)]


def _still_missing(change: KeyChange, root: Root, file: Path) -> list[str]:
    missing = change.missing(root)
    if not missing:
        return [f"Every signature is there. Publish it: edgewright keys publish {file}"]
    return [*missing, f"Carry {file} to the holder of another key, who says: edgewright keys sign {file} --with KEY"]
