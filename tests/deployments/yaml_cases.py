"""The YAML files of these tests, found by folder: a case that nobody lists is still tested."""

from pathlib import Path
from typing import get_args

from deployments.rungs import RUNGS
from quality_gates.gates import KINDS

HERE = Path(__file__).parent
SAYS = "# says: "
RUNG_NAMES = [str(get_args(rung.model_fields["kind"].annotation)[0]) for rung in RUNGS]
LISTS = {
    "{rungs}": ", ".join(RUNG_NAMES),
    "{gates}": ", ".join(KINDS),
    "{gates by name}": ", ".join(sorted(KINDS)),
}
"""Lists in the words of a file that grow with each kind, so that a new kind is no edit of files about the others."""


def cases(folder: str) -> list[Path]:
    """Return all recipes of a folder."""
    return sorted((HERE / folder).glob("*.yaml"))


def says(path: Path) -> str:
    """Return the words that the error of an invalid file must contain: its first line, with the lists written out."""
    line = path.read_text().splitlines()[0]
    if not line.startswith(SAYS):
        raise ValueError(f"{path}: expected a first line `{SAYS}WORDS`, got {line!r}")
    words = line.removeprefix(SAYS)
    for placeholder, names in LISTS.items():
        words = words.replace(placeholder, names)
    return words
