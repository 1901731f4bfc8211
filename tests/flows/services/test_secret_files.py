import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from deployments.errors import ConfigurationError
from flows.services.secret_files import make_secret, read_secret
from flows.services.table import ENCRYPTION_KEY, WEBHOOK_SECRET


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)  # the widest that a user can have
    try:
        path = make_secret(tmp_path / "secrets", WEBHOOK_SECRET)
    finally:
        os.umask(before)
    assert (mode(path.parent), mode(path)) == (0o700, 0o600)
    first = read_secret(path)
    assert make_secret(tmp_path / "secrets", WEBHOOK_SECRET) == path and read_secret(path) == first
    assert read_secret(make_secret(tmp_path / "secrets", ENCRYPTION_KEY)) != first
    assert sorted(each.name for each in path.parent.iterdir()) == sorted([WEBHOOK_SECRET.name, ENCRYPTION_KEY.name])


def test_mlflow_takes_the_encryption_key(tmp_path: Path) -> None:
    Fernet(read_secret(make_secret(tmp_path / "secrets", ENCRYPTION_KEY)))


def test_two_that_make_one_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: make_secret(tmp_path / "secrets", WEBHOOK_SECRET), range(64)))
        assert len(set(pool.map(read_secret, paths))) == 1


@pytest.mark.parametrize("loose", [0o604, 0o640, 0o622])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, loose: int) -> None:
    path = make_secret(tmp_path / "secrets", WEBHOOK_SECRET)
    secret = read_secret(path)
    path.chmod(loose)
    with pytest.raises(ConfigurationError, match="chmod 600") as caught:
        make_secret(tmp_path / "secrets", WEBHOOK_SECRET)
    assert secret not in str(caught.value)


def test_a_folder_that_others_can_use_is_refused(tmp_path: Path) -> None:
    make_secret(tmp_path / "secrets", WEBHOOK_SECRET).parent.chmod(0o755)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        make_secret(tmp_path / "secrets", WEBHOOK_SECRET)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("told to everybody")
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / WEBHOOK_SECRET.name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="a link"):
        make_secret(tmp_path / "secrets", WEBHOOK_SECRET)


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    path = make_secret(tmp_path / "secrets", WEBHOOK_SECRET)
    path.write_text("\n")
    with pytest.raises(ConfigurationError, match="empty file"):
        make_secret(tmp_path / "secrets", WEBHOOK_SECRET)
