"""The operator's page, docs/devices.md, against the programs that it describes."""

import re
import shlex
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from edge_runtime.__main__ import DEVICE_COMMANDS, _parser
from edge_runtime.configuration import EXAMPLE, parse_configuration
from edge_runtime.device.host_files import next_commands
from edge_runtime.update import UpdateExit
from tests.edge_runtime.homes import ROOT

PAGE = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}/opt/edgewright/bin/python -m edge_runtime (.+?)$", PAGE, re.MULTILINE)


def test_the_configuration_with_every_key_is_the_one_of_the_code() -> None:
    assert f"```toml\n{EXAMPLE}```\n" in PAGE
    assert parse_configuration(tomllib.loads(EXAMPLE), "the page").models == ("camera",)


def test_every_exit_code_has_its_row() -> None:
    rows = dict(re.findall(r"^\| (\d) \| ([a-z ]+) \|", PAGE, re.MULTILINE))
    assert rows == {str(int(code)): code.name.lower().replace("_", " ") for code in UpdateExit}


def test_every_command_of_a_person_is_shown() -> None:
    assert {shlex.split(command)[0] for command in COMMANDS} == {*DEVICE_COMMANDS, "profile", "--help"} - {"mender"}


@pytest.mark.parametrize("command", [each for each in COMMANDS if not each.startswith("--")])
def test_the_runtime_takes_the_commands_as_they_stand(command: str) -> None:
    assert _parser().parse_args(shlex.split(command)).command == shlex.split(command)[0]


def test_the_commands_of_root_stand_as_setup_prints_them() -> None:
    shown = "".join(f"    {command}\n" for command in next_commands("systemd"))
    assert shown in PAGE


def test_every_file_of_the_services_is_described() -> None:
    folder = resources.files("edge_runtime.device") / "host"
    units = [each.name for each in folder.iterdir() if Path(each.name).suffix in (".service", ".timer")]
    assert len(units) == 4 and all(f"| `{unit}` |" in PAGE for unit in units)
