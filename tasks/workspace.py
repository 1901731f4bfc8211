"""The places that results are kept in: the stage store, the registry and the folder that devices read."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.store import StageStore, clean_leftovers, scratch_folder

logger = logging.getLogger("edgewright")


class Workspace(BaseModel):
    """The places of one installation; published bundles are written into the folder `target`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    tracking_uri: str
    target: Path

    @classmethod
    def at(cls, home: Path, tracking_uri: str | None = None, target: Path | None = None) -> "Workspace":
        """Return a workspace in a folder; the registry is an SQLite file in it unless a tracking URI is given."""
        home = home.resolve()
        return cls(
            home=home,
            tracking_uri=tracking_uri or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
            target=(target or home / "target").resolve(),
        )

    @classmethod
    def from_environment(cls) -> "Workspace":
        """Read EDGEWRIGHT_HOME (default `.edgewright`), MLFLOW_TRACKING_URI and EDGEWRIGHT_TARGET."""
        target = os.environ.get("EDGEWRIGHT_TARGET")
        return cls.at(
            Path(os.environ.get("EDGEWRIGHT_HOME", ".edgewright")),
            os.environ.get("MLFLOW_TRACKING_URI") or None,
            Path(target) if target else None,
        )

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
