"""Signed files of TUF as bytes: made, read, and held against the keys that must have signed them. No input or output.

TUF (The Update Framework) has a root that names the keys of the other roles, targets that delegate to the role of each
device profile, a snapshot with the version of each of them, and a timestamp with the version of the snapshot.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError, UnsignedMetadataError
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from edge_runtime.trust import signed_at
from tasks.errors import KeysError
from tasks.repository.expiry import TOP_LEVEL

Content = TypeVar("Content", Root, Targets, Snapshot, Timestamp)
TIMESTAMP = "metadata/timestamp.json"
ONLINE, SIGNED_ONLINE = "online", ("snapshot", "timestamp")
"""The one key of the roles that the worker signs by itself at each publication."""
HASHES = ["sha256"]
SHORT = 12
_MOST_BYTES = {"root": 512_000, "timestamp": 16_384, "snapshot": 2_000_000}
_MOST_OF_TARGETS = 5_000_000
_OF_DEVICE = "device-"


class Signers(Protocol):
    """The private keys that are at hand."""

    def __call__(self, role: str, keys: Mapping[str, Key]) -> list[Signer]:
        """Return a signer for each of these keys of a role that is here. Raises KeysError for one that is unsafe."""


@dataclass(frozen=True)
class SignedFile(Generic[Content]):
    """A metadata file: its bytes, and what they say."""

    metadata: Metadata[Content]
    data: bytes

    @property
    def signed(self) -> Content:
        """The part that is signed."""
        return self.metadata.signed

    @property
    def version(self) -> int:
        """Its number."""
        return self.metadata.signed.version

    @property
    def meta(self) -> MetaFile:
        """The entry of another file that names this one: version, length and sha256."""
        return MetaFile.from_data(self.version, self.data, HASHES)

    def is_named_by(self, meta: MetaFile) -> bool:
        """Tell whether an entry of another file is of these very bytes."""
        try:
            meta.verify_length_and_hashes(self.data)
        except LengthOrHashMismatchError:
            return False
        return meta.version == self.version


def name_of(role: str, version: int) -> str:
    """Return the name under which a version of a role's metadata is created, once."""
    return f"metadata/{version}.{role}.json"


def role_of(device: str) -> str:
    """Return the role of a device profile."""
    return f"{_OF_DEVICE}{device}"


def device_of(role: str) -> str | None:
    """Return the device profile of a role; None for a role of TUF's own."""
    return None if role in TOP_LEVEL else role.removeprefix(_OF_DEVICE)


def most_bytes(role: str) -> int:
    """Return the bytes that a role's metadata may have: the bounds of TUF's own client."""
    return _MOST_BYTES.get(role, _MOST_OF_TARGETS)


def target_path(model: str, device: str) -> str:
    """Return the path under which a device asks for the manifest of a model."""
    return f"{model}/{device}/manifest.json"


def manifest_name(model: str, device: str, sha256: str) -> str:
    """Return the name under which a manifest is created, once: TUF's consistent snapshots put the digest before it."""
    return f"targets/{model}/{device}/{sha256}.manifest.json"


def delegation(device: str, keys: Iterable[Key]) -> DelegatedRole:
    """Return the delegation of a device profile: any one of the keys signs its manifests, and nobody else does."""
    ids = [key.keyid for key in keys]
    return DelegatedRole(role_of(device), ids, 1, terminating=True, paths=[f"*/{device}/manifest.json"])


def no_delegations() -> Delegations:
    """Return delegations to nobody."""
    return Delegations(keys={}, roles={})


def read(kind: type[Content], data: bytes) -> SignedFile[Content] | None:
    """Read bytes as metadata of a kind; None for anything else. Nothing is trusted by that."""
    try:
        metadata = Metadata[Content].from_bytes(data)
    except (DeserializationError, RepositoryError, ValueError):
        return None
    return SignedFile(metadata, data) if isinstance(metadata.signed, kind) else None


def sign(content: Content, signers: Iterable[Signer]) -> SignedFile[Content]:
    """Sign metadata with every one of the signers."""
    metadata = Metadata(content)
    for signer in signers:
        metadata.sign(signer, append=True)
    return written(metadata)


def written(metadata: Metadata[Content]) -> SignedFile[Content]:
    """Return metadata with its bytes."""
    return SignedFile(metadata, metadata.to_bytes(JSONSerializer(compact=True, validate=True)))


def is_trusted(file: SignedFile[Content], role: str, delegator: Root | Targets) -> bool:
    """Tell whether enough of a role's keys, as the delegator names them, have signed a file."""
    try:
        delegator.verify_delegate(role, file.metadata.signed_bytes, file.metadata.signatures)
    except (UnsignedMetadataError, ValueError):
        return False
    return True


def keys_of(delegator: Root | Targets, role: str) -> dict[str, Key]:
    """Return the keys of a role, by their ids. Raises ValueError where the delegator does not know the role."""
    return {keyid: delegator.get_key(keyid) for keyid in delegator.get_delegated_role(role).keyids}


def enough_signers(signers: Signers, delegator: Root | Targets, role: str) -> list[Signer]:
    """Return the signers of a role that are here. Raises KeysError for fewer than its threshold."""
    keys, threshold = keys_of(delegator, role), delegator.get_delegated_role(role).threshold
    found = signers(role, keys)
    if len(found) < threshold:
        raise KeysError(
            f"{role}: expected {threshold} of the keys {', '.join(short(keyid) for keyid in keys)} on this machine, "
            f"got {len(found)}; run this where they are, or make new ones with edgewright keys rotate "
            f"{device_of(role) or (ONLINE if role in SIGNED_ONLINE else role)}"
        )
    return found


def short(keyid: str) -> str:
    """Return the part of a key's id that people read, and that names its file."""
    return keyid[:SHORT]


def signed_when(timestamp: Timestamp) -> datetime:
    """Return the time at which a timestamp was signed, as devices read it; the earliest one where it does not say."""
    return signed_at(timestamp) or datetime.min.replace(tzinfo=UTC)
