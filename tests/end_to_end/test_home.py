"""A whole run of the command line leaves a user's home folder as it was: no library phones home or keeps an id."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.edge_runtime import homes
from tests.edge_runtime.bundle.listing import manifests_in
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.variants import TINY

pytestmark = pytest.mark.end_to_end

RECIPE = TINY / "recipes" / "tiny.yaml"


def test_compress_leaves_the_home_empty(tmp_path: Path) -> None:
    home, place = tmp_path / "home", tmp_path / "edgewright"
    home.mkdir()
    registry = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert upstream.register(registry) == "1"
    command = [str(Path(sys.executable).with_name("edgewright")), "compress", "tiny", "1", "--recipe", str(RECIPE)]
    environment = homes.environment(home) | {"EDGEWRIGHT_HOME": str(place), "MLFLOW_TRACKING_URI": registry}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(manifests_in(place / "target", "tiny", "tiny")) == 1
    assert homes.files(home) == []
