"""Visibility of runs: their pages on a Prefect server, and notices to people.

In come the advances that the steps tell and the outcome; out go artifacts, and messages through notification blocks.
Nothing here changes an outcome: what cannot be shown or sent is a warning.
"""

from flows.visibility.notices import Notice, answered, ended, keys_need_person, needs_person, rolled_back
from flows.visibility.notifications import check_blocks, named_blocks, notify
from flows.visibility.shown_run import shown, tell_decision

__all__ = [
    "Notice",
    "answered",
    "check_blocks",
    "ended",
    "keys_need_person",
    "named_blocks",
    "needs_person",
    "notify",
    "rolled_back",
    "shown",
    "tell_decision",
]
