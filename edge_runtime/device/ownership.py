"""Ownership of the state folder: whoever root lets a command run for, the folder stays that of its owner."""

import os
import pwd
from pathlib import Path

from edge_runtime.configuration import BadConfiguration


def become_owner(state: Path) -> None:
    """Become the owner of the state folder for good, where root runs this and the folder is another user's.

    Files of root in the folder would keep out the service that runs as that user. Raises BadConfiguration where the
    kernel does not allow it.
    """
    if os.geteuid() != 0 or not state.is_dir():
        return
    owner = state.stat()
    if owner.st_uid == 0:
        return
    try:
        group = _enter_groups(owner.st_uid, owner.st_gid)
        os.setgid(group)
        os.setuid(owner.st_uid)
    except OSError as error:
        raise BadConfiguration(
            f"{state}: expected to run as the owner of this folder, user {owner.st_uid}, got {error.strerror}; run the "
            "command as that user"
        ) from error


def _enter_groups(user: int, group: int) -> int:
    """Enter the groups of a user; of one that has no entry, only the group that is given. Return the first one."""
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        os.setgroups([])
        return group
    os.initgroups(entry.pw_name, entry.pw_gid)
    return entry.pw_gid
