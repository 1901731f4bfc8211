"""Expiries: the end of every role's metadata, and what a person must do before devices refuse it."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from tuf.api.metadata import Root, Targets

from tasks.repository.expiry import BY_PERSONS, Expiry, ExpiryPeriods
from tasks.repository.signing import SignedFile, device_of, short
from tasks.repository.state import State


def expiries(state: State, periods: ExpiryPeriods, now: datetime) -> list[Expiry]:
    """Return the end of each role: root, targets, snapshot, timestamp, then the roles of device profiles."""
    root, targets = state.root.signed, state.targets.signed
    top: tuple[tuple[str, SignedFile[Any] | None], ...] = (
        ("root", state.root), ("targets", state.targets), ("snapshot", state.snapshot.best),
        ("timestamp", state.timestamp.best),
    )  # fmt: skip
    found = [_expiry(role, file, root, periods, now) for role, file in top if file is not None]
    for role, each in state.roles.items():
        if each.best is not None:
            found.append(_expiry(role, each.best, targets, periods, now))
            continue
        keys = tuple(targets.get_delegated_role(role).keyids)
        needs = f"its key has signed nothing yet: run edgewright keys resign where {', '.join(map(short, keys))} is"
        found.append(Expiry(role, 0, now, keys, 1, needs))
    if state.newer is None:
        return found
    waits = f"version {state.newer.version} waits for a new key's signature: run edgewright keys resign where it is"
    return [replace(each, needs=each.needs or waits) if each.role == "targets" else each for each in found]


def _expiry(
    role: str, file: SignedFile[Any], delegator: Root | Targets, periods: ExpiryPeriods, now: datetime
) -> Expiry:
    said, expires = delegator.get_delegated_role(role), file.signed.expires
    late = _needs(role, expires < now) if periods.is_late(role, expires, now) else ""
    return Expiry(role, file.version, expires, tuple(said.keyids), said.threshold, late)


def _needs(role: str, is_over: bool) -> str:
    over = "devices refuse it: " if is_over else ""
    if role in BY_PERSONS:
        return f"{over}persons must sign it again: edgewright keys renew {role} --with KEY"
    whose = f"the key of {device_of(role)}" if device_of(role) else "the online key"
    return f"{over}no worker has signed it again in time: see that the flow resign runs where {whose} is"
