"""The ladder of a device as MLflow keeps it."""

import json
from pathlib import Path
from typing import Any

from tasks.registry import Runs
from tasks.workspace import Workspace


def ladder(world: Workspace, run: str) -> list[dict[str, Any]]:
    """Return the rows of the ladder that was recorded in a device's run, by column name."""
    path = Runs(world.tracking_uri, "tiny").client.download_artifacts(run, "ladder.json")
    table = json.loads(Path(path).read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
