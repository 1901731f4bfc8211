"""The flow `resign`: signs again what devices would refuse soon, each day, and tells people what needs them."""

import logging
from datetime import datetime

from prefect import flow

from flows.deployed import Places
from flows.visibility import keys_need_person, notify
from flows.watch import say_who_works
from tasks.repository import Expiry, expiries, keys_folder, open_repository
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
DAILY = 14.0
"""Days before an end from which people are told every day; before that they are told on Mondays."""
MONDAY = 0


@flow(name="resign")
def resign(workspace: Places = None) -> list[str]:
    """Sign again what a machine signs, and return what needs a person; nothing where no repository was begun.

    What needs a person is sent as a notice too: on Mondays, and every day from 14 days before the end. Where signing
    itself fails, people are told at once, as devices refuse everything within days.
    """
    workspace = workspace or Workspace.from_environment()
    say_who_works(workspace.home)
    repository = open_repository(workspace.published, keys_folder(workspace.home))
    if not repository.is_begun():
        logger.info("%s: no signed repository was begun here, so nothing is signed again", repository.store.address)
        return []
    try:
        repository.resign()
        needed = [each for each in expiries(repository.reader.state(), repository.periods, repository.now())
                  if each.needs]  # fmt: skip
    except Exception as error:
        notify(keys_need_person(f"The metadata in {repository.store.address} could not be signed again: {error}"))
        raise
    said = [in_a_sentence(each, repository.now()) for each in needed]
    for sentence in said:
        logger.warning("%s", sentence)
    if said and is_told(needed, repository.now()):
        notify(keys_need_person("\n".join([f"Repository: {repository.store.address}.", *said])))
    return said


def in_a_sentence(expiry: Expiry, now: datetime) -> str:
    """Return what a role needs, with the days that are left."""
    days = expiry.days_left(now)
    end = f"expires in {days:.0f} days" if days > 0 else "has expired"
    return f"{expiry.role} version {expiry.version} {end}: {expiry.needs}"


def is_told(needed: list[Expiry], now: datetime) -> bool:
    """Tell whether people get a notice on this day."""
    return now.weekday() == MONDAY or any(each.days_left(now) <= DAILY for each in needed)
