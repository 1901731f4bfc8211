"""Carriers: ways to read a published repository, from a server or from a folder.

A URL or a folder comes in; small files go out as bytes, large ones into a `.part` file that is fetched on where it was
left. HTTP is ranged, counts its bytes against a daily cap and is polite to servers that fail. Nothing that a carrier
brings is trusted: who uses it checks digests and signatures. An `HttpSender` puts small files below a URL in the same
ways.
"""

from edge_runtime.trust import Fetch, NotThere
from edge_runtime.update.carriers.aged_file import Moment
from edge_runtime.update.carriers.daily_traffic import DailyTraffic
from edge_runtime.update.carriers.fetching import Carrier
from edge_runtime.update.carriers.folder_carrier import FolderCarrier
from edge_runtime.update.carriers.http_carrier import HttpCarrier
from edge_runtime.update.carriers.http_sender import HttpSender
from edge_runtime.update.carriers.partial_file import discard
from edge_runtime.update.carriers.politeness import Politeness
from edge_runtime.update.carriers.troubles import HeldBack, Reason, Rejected, Unreachable

__all__ = [
    "Carrier",
    "DailyTraffic",
    "Fetch",
    "FolderCarrier",
    "HeldBack",
    "HttpCarrier",
    "HttpSender",
    "Moment",
    "NotThere",
    "Politeness",
    "Reason",
    "Rejected",
    "Unreachable",
    "discard",
]
