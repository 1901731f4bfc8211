"""What the README and CONTRIBUTING tell people to run is there to be run."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app

ROOT = Path(__file__).parents[1]
TEXTS = {name: (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")}
MAKE = sorted({target for text in TEXTS.values() for target in re.findall(r"\bmake ([a-z][a-z-]+)\b(?! it)", text)})
CALLS = re.findall(r"^ +\.venv/bin/edgewright ((?:recipes )?[a-z]+)", "\n".join(TEXTS.values()), re.MULTILINE)
COMMANDS = sorted(set(CALLS))


def test_commands_were_found() -> None:
    assert {"demo", "test", "ui", "lint", "setup"} <= set(MAKE)
    assert "recipes check" in COMMANDS


@pytest.mark.parametrize("target", MAKE)
def test_make_has_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), f"no target {target} in the Makefile"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_has_the_command(command: str) -> None:
    assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_files_that_are_named_are_there(name: str) -> None:
    pattern = r"`((?:flows|tasks|deployments|model_compression|quality_gates|edge_runtime|docker|tests)/[\w./-]+)`"
    named = re.findall(pattern, TEXTS[name])
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing
