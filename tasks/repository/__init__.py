"""The signed repository that devices take bundles from: object stores, TUF metadata, and the keys that sign it.

In come manifests, keys and the changes that persons sign; out go versioned names in a folder or in S3, each created
once, and a timestamp that is replaced last. A reader sees a whole signed state at every moment. Publishers may work
beside each other or be killed, and nothing is lost.
"""

from tasks.repository.beginning import PINNED, RootShape
from tasks.repository.expiry import Expiry, ExpiryPeriods, read_periods, utc_now
from tasks.repository.expiry_report import expiries
from tasks.repository.key_files import PASSPHRASE, Ask, KeyFiles, Passphrases
from tasks.repository.key_work import KeyWork
from tasks.repository.objects import FolderObjects, ObjectStore, open_store
from tasks.repository.opening import KEYS, keys_folder, open_repository
from tasks.repository.signed_repository import SignedRepository, release_of
from tasks.repository.signing import device_of, manifest_name, role_of, short, target_path
from tasks.repository.state import State, StateReader

__all__ = [
    "KEYS",
    "PASSPHRASE",
    "PINNED",
    "Ask",
    "Expiry",
    "ExpiryPeriods",
    "FolderObjects",
    "KeyFiles",
    "KeyWork",
    "ObjectStore",
    "Passphrases",
    "RootShape",
    "SignedRepository",
    "State",
    "StateReader",
    "device_of",
    "expiries",
    "keys_folder",
    "manifest_name",
    "open_repository",
    "open_store",
    "read_periods",
    "release_of",
    "role_of",
    "short",
    "target_path",
    "utc_now",
]
