"""The places that results are kept in: the stage store, the registry and the folder that devices read."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema

from tasks.errors import RegistryError
from tasks.store import StageStore, clean_leftovers, scratch_folder

logger = logging.getLogger("edgewright")
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
_NO_LOGIN = r"^(?![\w+.-]+://[^/]*@)"


def _without_login(address: str) -> str:
    if "@" in urlsplit(address).netloc:
        raise ValueError(f"expected an address without user and password; put them into {USER} and {PASSWORD}")
    return address


# Prefect's server checks the pattern, so that it refuses a login before it writes the parameters into its database.
Address = Annotated[str, AfterValidator(_without_login), WithJsonSchema({"type": "string", "pattern": _NO_LOGIN})]


S3 = "s3://"
Bucket = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^s3://[^/@]+(/[^@]*)?$"})]


class Workspace(BaseModel):
    """The places of one installation; published bundles are written into the folder `target`, or into `bucket`.

    The tracking address has no login in it. A workspace is a parameter of flows, which Prefect stores; and the address
    is part of errors, logs and tags.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path
    tracking_uri: Address
    target: Path
    bucket: Bucket | None = None
    """An address s3://BUCKET/PREFIX, where bundles are published in S3 and not in the folder."""

    @classmethod
    def at(cls, home: Path, tracking_uri: str | None = None, target: Path | str | None = None) -> "Workspace":
        """Return a workspace in a folder; the registry is an SQLite file in it unless a tracking URI is given.

        `target` is a folder or an address s3://BUCKET/PREFIX. A login in the URI is put into the variables that MLflow
        reads one from. Raises RegistryError for one that cannot be.
        """
        home = home.resolve()
        bucket = str(target) if target is not None and str(target).startswith(S3) else None
        return cls(
            home=home,
            tracking_uri=_take_login(tracking_uri) if tracking_uri else f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
            target=(home / "target" if bucket or not target else Path(target)).resolve(),
            bucket=bucket,
        )

    @classmethod
    def from_environment(cls) -> "Workspace":
        """Read EDGEWRIGHT_HOME (default `.edgewright`), MLFLOW_TRACKING_URI and EDGEWRIGHT_TARGET.

        MLflow reads MLFLOW_TRACKING_URI too: a login in it is taken out of it.
        """
        target, address = os.environ.get("EDGEWRIGHT_TARGET"), os.environ.get("MLFLOW_TRACKING_URI")
        if address:
            address = os.environ["MLFLOW_TRACKING_URI"] = _take_login(address)
        home = Path(os.environ.get("EDGEWRIGHT_HOME", ".edgewright"))
        return cls.at(home, address or None, target or None)

    @property
    def published(self) -> str:
        """The address that bundles are published at: the bucket's, or the path of the folder `target`."""
        return self.bucket or str(self.target)

    @property
    def store(self) -> StageStore:
        """The store of finished stages."""
        return StageStore(self.home / "store")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Keep all temporary files in a folder of the home, removed at the end or, after a kill, at the next start.

        They hold the customers' rows and what was downloaded. It takes the files of this process, of its libraries and
        of its children.
        """
        with scratch_folder(self.home / "tmp") as folder:
            yield folder

    @contextmanager
    def exclusive(self, model: str) -> Iterator[None]:
        """Hold a model's lock: two runs of one model would race for its aliases. The kernel frees it at a kill."""
        folder = self.home / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{model}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("another process compresses %s; waiting for it to end", model)
                fcntl.flock(file, fcntl.LOCK_EX)
            clean_leftovers(self.store.root)
            yield


def _take_login(address: str) -> str:
    """Return an address without its login, which goes into the environment where it is that of an MLflow server."""
    scheme, separator, rest = address.partition("://")
    if scheme not in {"http", "https"}:  # no address of a server: without its login it can be named and refused
        return scheme + separator + rest[rest.partition("/")[0].rfind("@") + 1 :]
    login, at, host = rest.rpartition("@")
    user, colon, password = login.partition(":")
    if "?" in rest or "#" in rest or "/" in login or (at and not (user and colon and password)):
        raise RegistryError(
            "MLFLOW_TRACKING_URI: expected the http(s) address of an MLflow server, got one with a query, a fragment "
            f"or half a login; put user and password into {USER} and {PASSWORD}, or a token into MLFLOW_TRACKING_TOKEN"
        )
    if at:
        os.environ[USER], os.environ[PASSWORD] = unquote(user), unquote(password)
    return f"{scheme}://{host}"
