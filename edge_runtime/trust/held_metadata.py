"""The metadata that a device holds, as plain data for people to look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from tuf.api.metadata import Metadata

from edge_runtime.trust.known_versions import newest_root
from edge_runtime.trust.metadata_store import MetadataStore, root_version
from edge_runtime.trust.time_floor import latest_floor, least_time


@dataclass(frozen=True)
class RoleState:
    """The version of a role's metadata, and the time in UTC from which it no longer counts."""

    version: int
    expires: datetime


@dataclass(frozen=True)
class TrustState:
    """The roles whose metadata a device holds, by name, and the floor of time; both may be lacking."""

    roles: Mapping[str, RoleState]
    time_floor: datetime | None


def trust_state(folder: Path | str) -> TrustState:
    """Return what a folder of metadata holds, without waiting for a process that is refreshing it.

    Files that are damaged are left out. Raises TrustError for a file that may not be read.
    """
    store = MetadataStore(folder)
    files = store.read()
    root = newest_root(files)
    found = {name: Metadata.from_bytes(data).signed for name, data in files.items() if not root_version(name)}
    roles = {unquote(name.removesuffix(".json")): RoleState(each.version, each.expires) for name, each in found.items()}
    if root is None:
        return TrustState(roles, None)
    least = least_time(latest_floor([store.read_stamp()], root), root)
    return TrustState({"root": RoleState(root.version, root.expires), **roles}, least)
