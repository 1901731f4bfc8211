"""The YAML files of these tests, found by folder: a case that nobody lists is still tested."""

from pathlib import Path

HERE = Path(__file__).parent
SAYS = "# says: "


def cases(folder: str) -> list[Path]:
    """Return all recipes of a folder."""
    return sorted((HERE / folder).glob("*.yaml"))


def says(path: Path) -> str:
    """Return the words that the error of an invalid file must contain, from the file's first line."""
    line = path.read_text().splitlines()[0]
    if not line.startswith(SAYS):
        raise ValueError(f"{path}: expected a first line `{SAYS}WORDS`, got {line!r}")
    return line.removeprefix(SAYS)
