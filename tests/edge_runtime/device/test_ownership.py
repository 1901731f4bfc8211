"""Ownership: commands of root leave no file of root in another user's state folder."""

import os
import pwd
from pathlib import Path

import pytest

from edge_runtime.configuration import BadConfiguration
from edge_runtime.device.ownership import become_owner

NOBODY = pwd.getpwnam("nobody")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can become another user")


def in_child(work: Path, state: Path) -> str:
    """Become the owner of a folder in a process of its own, write a file into both folders, and tell who that was."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(work)  # no path leads there for another user
            become_owner(state)
            Path("written").touch()
            told = f"{os.getresuid()} {os.getresgid()} {os.getgroups()}"
        except BaseException as error:
            told = repr(error)
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


@needs_root
@pytest.mark.parametrize(("user", "group"), [(NOBODY.pw_uid, NOBODY.pw_gid), (54321, 54322)])
def test_root_becomes_the_owner_with_its_groups_and_no_others(tmp_path: Path, user: int, group: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, user, group)
    told = in_child(state, state)
    assert told.startswith(f"{(user,) * 3} {(group,) * 3} ")
    assert "0" not in told.split("[")[1].rstrip("]").split(", ")
    assert ((state / "written").stat().st_uid, (state / "written").stat().st_gid) == (user, group)


@needs_root
def test_root_stays_root_where_the_folder_is_roots_or_not_there(tmp_path: Path) -> None:
    for state in (tmp_path, tmp_path / "missing"):
        assert in_child(tmp_path, state).startswith("(0, 0, 0)")


def test_a_user_without_rights_stays_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.setuid", lambda _: pytest.fail("it became another user"))
    become_owner(tmp_path)


@needs_root
def test_where_the_kernel_does_not_allow_it_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(tmp_path, NOBODY.pw_uid, NOBODY.pw_gid)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.initgroups", refuse)
    with pytest.raises(BadConfiguration, match="expected to run as the owner of this folder"):
        become_owner(tmp_path)
