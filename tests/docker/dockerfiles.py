"""Dockerfiles as tests read them: one instruction a line, comments and continuations resolved."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name in capitals and everything behind it."""

    name: str
    value: str


def read_dockerfile(path: Path) -> list[Instruction]:
    """Read the instructions of a Dockerfile in order."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    split = [line.split(maxsplit=1) for line in joined.splitlines()]
    return [Instruction(name.upper(), value.strip()) for name, value in split]


def values(instructions: Sequence[Instruction], name: str) -> list[str]:
    """Return the text behind every instruction of one name."""
    return [instruction.value for instruction in instructions if instruction.name == name]


def environment(instructions: Sequence[Instruction]) -> dict[str, str]:
    """Return the variables that ENV sets."""
    pairs = [pair.partition("=") for value in values(instructions, "ENV") for pair in shlex.split(value)]
    return {key: value for key, _, value in pairs}


def sources(instructions: Sequence[Instruction]) -> list[str]:
    """Return every path that COPY takes out of the build context."""
    return [source for value in values(instructions, "COPY") for source in value.split()[:-1]]


def command(instructions: Sequence[Instruction], name: str = "CMD") -> tuple[str, ...]:
    """Return CMD or ENTRYPOINT in exec form; ValueError for the shell form, whose shell would swallow signals."""
    found = values(instructions, name)
    return tuple(json.loads(found[-1])) if found else ()
