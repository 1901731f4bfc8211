"""Folders of artifacts that somebody else wrote: nothing in them leads out, and nothing in them is more than a file."""

from pathlib import Path

from tasks.errors import RegistryError

REMEDY = "log the model again with MLflow, and see who can write to the artifact store"


def check_inside(what: str, folder: Path) -> None:
    """Raise RegistryError unless everything in a folder is a file or a folder of its own; a link may stay inside."""
    whole = folder.resolve()
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if not path.resolve().is_relative_to(whole):
            raise RegistryError(f"{what}: expected files of its own, got a link `{name}` that leads out; {REMEDY}")
        if not (path.is_file() or path.is_dir()):
            raise RegistryError(f"{what}: expected files, got `{name}`, a pipe, a device or a broken link; {REMEDY}")


def file_inside(what: str, folder: Path, name: object) -> Path:
    """Return the path that a description in a folder names. Raises RegistryError where it leads out of the folder."""
    path = folder / name if isinstance(name, str) and "\0" not in name else None
    if path is None or not path.resolve().is_relative_to(folder.resolve()):
        got = str(name)[:80]
        raise RegistryError(f"{what}: expected MLmodel to name a file inside the model's folder, got {got!r}; {REMEDY}")
    return path
