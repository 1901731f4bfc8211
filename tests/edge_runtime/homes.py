"""A user's home folder that is empty, and what a process leaves in it."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a user whose home this is: no CI, and nothing that quiets a library."""
    folders = {"XDG_CACHE_HOME": ".cache", "XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".local/share"}
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        **{name: str(home / folder) for name, folder in folders.items()},
    }


def files(home: Path) -> list[str]:
    """Return the paths of all files in a home, relative to it."""
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir())
