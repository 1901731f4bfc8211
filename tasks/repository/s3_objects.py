"""Objects in S3, or in a store that speaks its language and honours If-None-Match and If-Match.

The keys are those of the usual variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError
from s3fs import S3FileSystem

from tasks.errors import SystemFailure, one_line
from tasks.repository.objects import check_length, check_name
from tasks.workspace import S3

ATTEMPTS = 6
PAUSE_S = 0.2
PROBES = ".probes"
_TAKEN = {"PreconditionFailed", "412"}
_BESIDE = {"ConditionalRequestConflict", "OperationAborted", "409"}
"""Answers of S3 to a conditional write that met another one; the write may be asked for again."""


class S3Objects:
    """Objects below s3://BUCKET/PREFIX. The first write of a process asks whether the store honours conditions."""

    def __init__(self, address: str) -> None:
        """Take the address; nothing is asked of the store yet. Raises SystemFailure for one without a bucket."""
        self._place = address.removeprefix(S3).strip("/")
        self._address = f"{S3}{self._place}"
        if not self._place.partition("/")[0]:
            raise SystemFailure(f"{address}: expected s3://BUCKET/PREFIX, got no bucket; name one")

    @property
    def address(self) -> str:
        """The address, as s3://BUCKET/PREFIX."""
        return self._address

    def create(self, name: str, content: bytes | Path) -> bool:
        """Write an object with If-None-Match."""
        check_name(name)
        _ = self._honours_conditions
        return self._create(name, content)

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """Look at an object's size, then read it."""
        found = self.size(name)
        if found is None:
            return None
        check_length(f"{self._address}/{name}", found, most_bytes)
        with self._telling(name, "expected an object that can be read"):
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def fetch(self, name: str, path: Path) -> bool:
        """Download an object."""
        with self._telling(name, f"expected to copy it to {path}"):
            try:
                self._files.get_file(self._path(name), str(path))
            except FileNotFoundError:
                path.unlink(missing_ok=True)
                return False
        return True

    def replace(self, name: str, content: bytes, over: bytes | None) -> bool:
        """Write an object with If-Match: the tag is read before the content, so it is never that of a newer one."""
        _ = self._honours_conditions
        if over is None:
            return self._create(name, content)
        with self._telling(name, "expected to replace it"):
            try:
                tag = self._files.info(self._path(name))["ETag"]
            except FileNotFoundError:
                return False
        if self.read(name, max(len(over), len(content)) + 1) != over:
            return False
        return self._put(name, content, IfMatch=tag)

    def names(self, folder: str) -> list[str]:
        """List a prefix."""
        with self._telling(folder, "expected a folder that can be listed"):
            try:
                found = self._files.ls(f"{self._place}/{folder}", detail=True, refresh=True)
            except FileNotFoundError:
                return []
        names = [str(each["name"]).rpartition("/")[2] for each in found if each["type"] == "file"]
        return sorted(name for name in names if name and not name.startswith("."))

    def size(self, name: str) -> int | None:
        """Ask for an object's size."""
        with self._telling(name, "expected an object that can be looked at"):
            try:
                return int(self._files.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def remove(self, name: str) -> None:
        """Delete an object."""
        with self._telling(name, "expected to remove it"):
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def tidy(self, folder: str) -> None:
        """Do nothing: S3 shows no part of an object. Let the bucket's rules end uploads that were never completed."""

    @cached_property
    def _files(self) -> Any:
        return S3FileSystem(use_listings_cache=False, skip_instance_cache=True)

    @cached_property
    def _honours_conditions(self) -> bool:
        """Write one name twice and replace it over a wrong tag: both must be refused. Raises SystemFailure."""
        name = f"{PROBES}/{secrets.token_hex(8)}"
        try:
            created = self._create(name, b"probe")
            twice, over = self._create(name, b"again"), self._put(name, b"other", IfMatch=f'"{"0" * 32}"')
        finally:
            self.remove(name)
        if not created or twice or over:
            raise SystemFailure(
                f"{self._address}: expected a store that honours If-None-Match and If-Match, got one that "
                f"{'overwrites what is there' if created else 'refuses a new name'}; two publishers could undo each "
                "other's work there: use a store that does, such as Amazon's, or a folder"
            )
        return True

    def _create(self, name: str, content: bytes | Path) -> bool:
        return self._put(name, content, IfNoneMatch="*")

    def _put(self, name: str, content: bytes | Path, **condition: str) -> bool:
        """Write an object under a condition; False where the condition does not hold."""
        path = self._path(name)
        with self._telling(name, "expected to write it"):
            for attempt in range(ATTEMPTS):
                try:
                    self._send(path, content, condition)
                except FileNotFoundError:
                    if "IfMatch" not in condition:
                        raise  # the bucket is missing
                    return False
                except OSError as error:
                    code = _code(error)
                    if code in _TAKEN or isinstance(error, FileExistsError):
                        return False
                    if code not in _BESIDE or attempt == ATTEMPTS - 1:
                        raise
                    time.sleep(PAUSE_S * 2**attempt)
                else:
                    return True
        return False

    def _send(self, path: str, content: bytes | Path, condition: dict[str, str]) -> None:
        if isinstance(content, bytes):
            self._files.pipe_file(path, content, **condition)
        else:
            self._files.put_file(str(content), path, mode="create")

    def _path(self, name: str) -> str:
        check_name(name)
        return f"{self._place}/{name}"

    @contextmanager
    def _telling(self, name: str, expected: str) -> Iterator[None]:
        try:
            yield
        except (OSError, BotoCoreError) as error:
            raise SystemFailure(
                f"{self._address}/{name}: {expected}: {one_line(error)}; see the bucket, its rights and the AWS "
                "variables, then run again"
            ) from error


def _code(error: BaseException) -> str:
    """Return S3's own code of an error."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
