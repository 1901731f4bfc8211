"""The documentation: commands that it names exist, files are there, links lead somewhere."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from flows.cli import app

ROOT = Path(__file__).parents[1]
PATHS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]
PATHS += sorted((ROOT / "docs").rglob("*.md"))
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PATHS}
ALL = "\n".join(TEXTS.values())
MAKE = sorted(
    set(re.findall(r"\bmake ([a-z][a-z0-9-]+)\b(?! it)", "\n".join(re.findall(r"`[^`\n]+`|^ {4}.*$", ALL, re.M))))
)
LINES = re.findall(r"^ +\.venv/bin/edgewright (.+?)(?: +#.*)?$", ALL, re.MULTILINE)
INLINE = re.findall(r"`(?:\.venv/bin/)?edgewright ([^`]+)`", ALL)
CALLS = sorted({*LINES, *INLINE})
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def test_commands_were_found() -> None:
    assert {"demo", "test", "ui", "lint", "setup", "docs", "bench-gates"} <= set(MAKE)
    assert "recipes check edge/recipes/defects.yaml" in CALLS
    assert any("--discordance" in call or "--folder" in call for call in CALLS)
    assert len(TEXTS) >= 20


@pytest.mark.parametrize("target", MAKE)
def test_make_has_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), f"no target {target} in the Makefile"


@pytest.mark.parametrize("call", CALLS)
def test_the_command_line_has_the_command_and_its_options(call: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(call)
    while isinstance(command, TyperGroup):
        assert words and words[0] in command.commands, f"edgewright has no command {call}"
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= {*known, "--help"}


def test_every_command_is_documented() -> None:
    def names(command: Any, before: str = "") -> Iterator[str]:
        if isinstance(command, TyperGroup):
            for name, inner in command.commands.items():
                yield from names(inner, f"{before}{name} ")
        else:
            yield before.strip()

    described = {
        name for name in names(typer.main.get_command(app)) if f"`edgewright {name}" in TEXTS["docs/operation.md"]
    }
    assert described == set(names(typer.main.get_command(app)))


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_files_that_are_named_are_there(name: str) -> None:
    pattern = r"`((?:flows|tasks|deployments|model_compression|quality_gates|edge_runtime|docker|docs|tests)/[\w./-]+)`"
    named = re.findall(pattern, TEXTS[name])
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_links_lead_somewhere(name: str) -> None:
    for link in LINK.findall(re.sub(r"```.*?```", "", TEXTS[name], flags=re.DOTALL)):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name}: {link}"
        assert not anchor or anchor in _anchors(target), f"{name}: {link}"


def _anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as mkdocs and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
