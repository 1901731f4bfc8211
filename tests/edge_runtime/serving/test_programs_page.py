"""The page docs/programs.md: its programs run as they stand, and its errors are those of the code."""

import re
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import errors
from edge_runtime.serving import Runtime
from tests.edge_runtime.homes import ROOT
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.edge_runtime.serving.stored import Stored

PAGE = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NAMED = re.findall(r"^\| `([A-Z]\w+)` \|", PAGE, re.MULTILINE)


def test_the_programs_were_found() -> None:
    assert len(PROGRAMS) == 2


@pytest.mark.parametrize("program", PROGRAMS, ids=["with a thread", "with an event loop"])
def test_a_program_of_the_page_runs_as_it_stands(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = Stored(tmp_path)
    stored.put(1)
    keys = {"device": DEVICE, "url": "/media/usb", "state": stored.store.root, "root": tmp_path / "root.json"}
    lines = [f'models = ["{MODEL}"]', *(f'{key} = "{value}"' for key, value in keys.items())]
    (tmp_path / "device.toml").write_text("\n".join(lines))
    of_device = Runtime.of_device
    monkeypatch.setattr(Runtime, "of_device", lambda: of_device(tmp_path / "device.toml"))
    exec(compile(program, "programs.md", "exec"), {"__name__": "program"})
    printed = np.array(re.findall(r"-?\d+\.\d*(?:e[-+]\d+)?", capsys.readouterr().out), np.float32)
    right = stored.right(1, np.ones((2, 64), np.float32))
    np.testing.assert_allclose(printed, right.reshape(-1), rtol=1e-3, atol=1e-3)


def test_every_error_of_a_request_has_its_row() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    direct = {kind.__name__ for kind in kinds if errors.ServingError in kind.__bases__}
    assert set(NAMED) == direct and len(NAMED) == len(direct)
