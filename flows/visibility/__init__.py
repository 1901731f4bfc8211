"""Visibility of runs: their pages on a Prefect server, the form that starts one, and notices to people.

In come the advances that the steps tell and the outcome; out go artifacts, and messages through notification blocks.
Nothing here changes an outcome: what cannot be shown or sent is a warning.
"""

from flows.visibility.form import Again, Apart, Back, Cause, ModelName, Places, RecipeName, Recipes, Version
from flows.visibility.notices import Notice, answered, ended, needs_person
from flows.visibility.notifications import check_blocks, named_blocks, notify
from flows.visibility.shown_run import shown

__all__ = [
    "Again",
    "Apart",
    "Back",
    "Cause",
    "ModelName",
    "Notice",
    "Places",
    "RecipeName",
    "Recipes",
    "Version",
    "answered",
    "check_blocks",
    "ended",
    "named_blocks",
    "needs_person",
    "notify",
    "shown",
]
