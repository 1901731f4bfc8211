"""Trust: a TUF client for a device, which knows no transport and survives power cuts at any moment.

`trusted_manifest` takes a folder for metadata, the root that the device was shipped with, a `Fetch` that gets files of
the repository by path, and the names of a model and a device; it returns the manifest's verified bytes.
`trusted_targets` does the same for any target paths, `folder_fetch` reads a repository from a folder, and `trust_state`
says which metadata the device holds. `SIGNED_AT` is the field by which a publisher tells devices the time. Everything
is verified by python-tuf from the shipped root on; what is new is written durably, in an order in which no cut makes
the device accept an older release. Time is the clock's or the latest time that a verified timestamp was signed at,
whichever is later. Raises TrustError, and UpdateError from a Fetch.
"""

from edge_runtime.errors import TrustError, UpdateError
from edge_runtime.trust.fetch_protocol import Fetch, NotThere, folder_fetch
from edge_runtime.trust.held_metadata import RoleState, TrustState, trust_state
from edge_runtime.trust.time_floor import SIGNED_AT, signed_at, time_text
from edge_runtime.trust.verified_targets import TrustedTarget, trusted_manifest, trusted_targets

__all__ = [
    "SIGNED_AT",
    "Fetch",
    "NotThere",
    "RoleState",
    "TrustError",
    "TrustState",
    "TrustedTarget",
    "UpdateError",
    "folder_fetch",
    "signed_at",
    "time_text",
    "trust_state",
    "trusted_manifest",
    "trusted_targets",
]
