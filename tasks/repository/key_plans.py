"""Plans of key changes: what root and targets become when a key is added, replaced, or a signature renewed.

A role that readers check at every refresh is handed over in two roots: the first one lets the old and the new keys
count, and the second one, after everything is signed with the new, lets the new ones alone count. So readers accept
what they find at every moment.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root, Targets

from edge_runtime.trust import SIGNED_AT, time_text
from tasks.errors import KeysError
from tasks.repository.expiry import ExpiryPeriods
from tasks.repository.key_changes import Document, KeyChange
from tasks.repository.signing import (
    ONLINE,
    SIGNED_ONLINE,
    SignedFile,
    delegation,
    device_of,
    keys_of,
    no_delegations,
    role_of,
    short,
    written,
)
from tasks.repository.state import State


@dataclass(frozen=True)
class KeyPlans:
    """Plans on the state of a repository. None of them is signed yet."""

    state: State
    periods: ExpiryPeriods
    now: datetime

    def add(self, device: str, key: Key) -> KeyChange:
        """Return a change that lets a key sign the manifests of a device profile."""
        targets = self._targets()
        _delegate(targets, device, [key])
        return KeyChange(f"add {device}", (self._signed(targets),))

    def renew(self, role: str) -> KeyChange:
        """Return a change that signs root or targets again, with the same keys."""
        return KeyChange(f"renew {role}", (self._root() if role == "root" else self._signed(self._targets()),))

    def replace(
        self,
        role: str,
        gone: Sequence[str],
        new: Sequence[Key],
        why: str,
        *,
        empty: bool = False,
        rebuild: bool = False,
    ) -> KeyChange:
        """Return a change by which keys of a role count no more, and others do: root, targets, online or a device's."""
        if role == "root":
            return KeyChange(why, (self._root(gone, new, ("root",)),))
        if role == ONLINE and rebuild:
            return KeyChange(why, (self._root(gone, new, SIGNED_ONLINE),), signed_by=new[0].keyid, rebuilds=True)
        if role == ONLINE:
            between, after = self._in_two(gone, new, SIGNED_ONLINE)
            return KeyChange(why, (between, after), signed_by=new[0].keyid)
        if role == "targets":
            between, after = self._in_two(gone, new, ("targets",))
            return KeyChange(why, (between, self._signed(self._targets()), after))
        targets, device = self._targets(), device_of(role) or role
        kept = [key for keyid, key in keys_of(targets, role).items() if keyid not in gone]
        _delegate(targets, device, [*kept, *new])
        return KeyChange(why, (self._signed(targets),), emptied=(role,) if empty else ())

    def keys(self, role: str) -> dict[str, Key]:
        """Return the keys of root, targets, online or a device's role that count now. Raises KeysError."""
        root, targets = self.state.root.signed, (self.state.newer or self.state.targets).signed
        try:
            if role in ("root", "targets"):
                return keys_of(root, role)
            return keys_of(root, "timestamp") if role == ONLINE else keys_of(targets, role)
        except ValueError as error:
            known = ", ".join(["root", "targets", ONLINE, *(device_of(each) or each for each in self.state.roles)])
            raise KeysError(f"{device_of(role)}: expected one of {known}, got another name; check it") from error

    def role_of_key(self, shown: str) -> tuple[str, str]:
        """Return the role and the whole id of a key by the beginning of its id. Raises KeysError."""
        roles = ("root", "targets", ONLINE, *self.state.roles)
        found = [(role, keyid) for role in roles for keyid in self.keys(role) if keyid.startswith(shown)]
        if len(found) != 1 or len(shown) < 4:
            raise KeysError(
                f"{shown}: expected the id of one key that counts, or its first characters, got {len(found)} such "
                "keys; see edgewright keys status"
            )
        return found[0]

    def _in_two(self, gone: Sequence[str], new: Sequence[Key], roles: Sequence[str]) -> tuple[Document, Document]:
        between = self._root((), new, roles)
        return between, self._next(between.signed, gone, (), roles)

    def _root(self, gone: Sequence[str] = (), new: Sequence[Key] = (), roles: Sequence[str] = ()) -> SignedFile[Root]:
        return self._next(self.state.root.signed, gone, new, roles)

    def _next(self, before: Root, gone: Sequence[str], new: Sequence[Key], roles: Sequence[str]) -> SignedFile[Root]:
        root = deepcopy(before)
        root.version, root.expires = root.version + 1, self.periods.end("root", self.now)
        root.unrecognized_fields[SIGNED_AT] = time_text(self.now)
        _exchange(root, gone, new, roles)
        return written(Metadata(root))

    def _targets(self) -> Targets:
        targets = deepcopy((self.state.newer or self.state.targets).signed)
        targets.version, targets.expires = self.state.last_targets + 1, self.periods.end("targets", self.now)
        return targets

    def _signed(self, targets: Targets) -> SignedFile[Targets]:
        return written(Metadata(targets))


def _exchange(root: Root, gone: Sequence[str], new: Sequence[Key], roles: Sequence[str]) -> None:
    for role in roles:
        for key in new:
            root.add_key(key, role)
        for keyid in gone:
            root.revoke_key(keyid, role)
        if len(root.roles[role].keyids) < root.roles[role].threshold:
            raise KeysError(
                f"{role}: expected at least {root.roles[role].threshold} keys to be left, got "
                f"{', '.join(map(short, root.roles[role].keyids)) or 'none'}; make new ones with edgewright keys rotate"
            )


def _delegate(targets: Targets, device: str, keys: Sequence[Key]) -> None:
    """Let these keys, and no others, sign for a device profile."""
    delegations = targets.delegations or no_delegations()
    roles = delegations.roles or {}
    for key in keys:
        delegations.keys[key.keyid] = key
    roles[role_of(device)] = delegation(device, keys)
    delegations.roles = roles
    named = {keyid for role in roles.values() for keyid in role.keyids}
    delegations.keys = {keyid: key for keyid, key in delegations.keys.items() if keyid in named}
    targets.delegations = delegations
