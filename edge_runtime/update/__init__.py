"""The update agent: our own carrier for devices that nobody visits.

A configuration comes in, with a source of verified releases and an install step; models that are up to
date go out, or an ending that says what held them back. Its HTTP is ranged and resumable, counts bytes against a daily
cap, and is polite to servers that fail. A folder is read through the same `Carrier`. `UpdateExit` lists the exit codes.
"""

from edge_runtime.service_manager import notify
from edge_runtime.update.agent import OfferedRelease, ReleaseInstaller, ReleaseSource, UpdateAgent, open_carrier
from edge_runtime.update.blob_fetching import BlobFetching, FetchedBlobs, RefusedDeltas
from edge_runtime.update.carriers import (
    Carrier,
    DailyTraffic,
    Fetch,
    FolderCarrier,
    HeldBack,
    HttpCarrier,
    HttpSender,
    Moment,
    NotThere,
    Politeness,
    Rejected,
    Unreachable,
)
from edge_runtime.update.ending_records import EndingRecords, ModelEnding
from edge_runtime.update.endings import SEVERITY, UpdateExit, exit_of
from edge_runtime.update.update_lock import AGENT_LOCK, BUSY_LOCK, exclusive

__all__ = [
    "AGENT_LOCK",
    "BUSY_LOCK",
    "SEVERITY",
    "BlobFetching",
    "Carrier",
    "DailyTraffic",
    "EndingRecords",
    "Fetch",
    "FetchedBlobs",
    "FolderCarrier",
    "HeldBack",
    "HttpCarrier",
    "HttpSender",
    "ModelEnding",
    "Moment",
    "NotThere",
    "OfferedRelease",
    "Politeness",
    "RefusedDeltas",
    "Rejected",
    "ReleaseInstaller",
    "ReleaseSource",
    "Unreachable",
    "UpdateAgent",
    "UpdateExit",
    "exclusive",
    "exit_of",
    "notify",
    "open_carrier",
]
