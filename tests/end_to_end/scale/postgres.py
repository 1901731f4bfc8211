"""A PostgreSQL server on a free loopback port, from Debian's package: databases with a password, gone at the end."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.edge_runtime.processes import wait_until

VERSIONS = Path("/usr/lib/postgresql")
USER = "edgewright"
START_S = 60.0
STOP_S = 30.0


@dataclass(frozen=True)
class Postgres:
    """A running server: the folder of its programs, its port, and the password of its only user."""

    programs: Path
    port: int
    password: str

    def address(self, driver: str, database: str) -> str:
        """Return the address of a database for SQLAlchemy."""
        return f"postgresql+{driver}://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> None:
        """Create an empty database."""
        self.ask_program("createdb", database)

    def count(self, database: str, table: str) -> int:
        """Return the number of rows of a table."""
        return int(self.ask_program("psql", "-Atc", f'SELECT COUNT(*) FROM "{table}"', database))

    def ask_program(self, name: str, *arguments: str) -> str:
        """Run one of PostgreSQL's clients; return what it prints."""
        command = [str(self.programs / name), "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, *arguments]
        environment = {**os.environ, "PGPASSWORD": self.password}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def find_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL that Debian has here; None without one."""
    found = [path for path in VERSIONS.glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: int(path.parent.name), default=None)


@contextmanager
def postgres(programs: Path, port: int) -> Iterator[Postgres]:
    """Run a server until the block ends. It refuses to run as root, so it gets a user and a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="edgewright-postgres-"))
    password, owner = secrets.token_urlsafe(24), _owner()
    (folder / "password").write_text(password)
    for path in (folder, folder / "password"):
        path.chmod(0o700)
        if owner is not None:
            shutil.chown(path, owner)
    try:
        made = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", USER, "--no-sync", "--encoding=UTF8"]
        secured = ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        subprocess.run([*made, *secured], user=owner, cwd="/", capture_output=True, check=True)
        with _serving(programs, folder, port, owner):
            server = Postgres(programs, port, password)
            wait_until(lambda: _accepts(server), seconds=START_S)
            yield server
    finally:
        shutil.rmtree(folder)


@contextmanager
def _serving(programs: Path, folder: Path, port: int, owner: str | None) -> Iterator[None]:
    command = [str(programs / "postgres"), "-D", str(folder / "data"), "-k", str(folder), "-p", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-c", "fsync=off"], user=owner, cwd="/", stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)  # a fast end: clients are sent away
        process.wait(STOP_S)


def _accepts(server: Postgres) -> bool:
    try:
        server.ask_program("psql", "-Atc", "SELECT 1", "postgres")
    except subprocess.CalledProcessError:
        return False
    return True


def _owner() -> str | None:
    """Return the user that the server runs as where the tests are root's; None for the user of the tests."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
