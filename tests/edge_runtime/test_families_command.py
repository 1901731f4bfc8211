"""The commands with a bundle that has heads."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.__main__ import main
from tests.edge_runtime.install.carried import rows
from tests.edge_runtime.made_families import bundle_at, defects


def test_a_family_is_verified_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    family = defects(tmp_path / "made")
    path = str(bundle_at(family.carry(tmp_path / "carried", 1)).path)
    assert main(["verify", path]) == 0
    assert "head faults: gives faults\nhead kinds: gives kinds\n" in capsys.readouterr().out
    np.save(tmp_path / "rows.npy", rows(2))
    assert main(["predict", path, str(tmp_path / "rows.npy")]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert list(answers) == ["faults", "kinds"]
    for name, right in family.right(rows(2)).items():
        np.testing.assert_allclose(answers[name], right, atol=1e-4)
