"""The page docs/serving.md against the server that it describes; its examples are run."""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.__main__ import _parser
from edge_runtime.device.host_files import UNITS
from edge_runtime.server.application import _STATUS
from tests.edge_runtime.homes import ROOT
from tests.edge_runtime.server.served_process import LONGEST_S, ServedProcess

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}/opt/edgewright/bin/python -m edge_runtime (.+?)$", PAGE, re.MULTILINE)
CURLS = re.findall(r"^ {4}(curl .+?)$", PAGE, re.MULTILINE)
ADDRESS = "127.0.0.1:8080"


def options() -> dict[str, argparse.Action]:
    (commands,) = (each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    return {each.option_strings[0]: each for each in commands.choices["serve"]._actions}


def test_the_command_takes_the_words_as_they_stand() -> None:
    read = [_parser().parse_args(shlex.split(command)).command for command in COMMANDS]
    assert read == ["serve", "serve", "shadow"]


def test_every_option_has_its_row_with_its_default() -> None:
    rows = dict(re.findall(r"^\| (`--[^|]+`) \| ([^|]+) \|", PAGE, re.MULTILINE))
    assert rows.pop("`--host`, `--port`") == "127.0.0.1, 8080"
    assert rows.pop("`--log-requests`") == "off"
    told = {name.strip("`"): float(default) for name, default in rows.items()}
    others = {"-h", "--config", "--bundle", "--host", "--port", "--log-requests"}
    assert told == {name: each.default for name, each in options().items() if name not in others}


def test_every_status_has_its_row() -> None:
    rows = re.findall(r"^\| ([0-9, ]+) \|", PAGE, re.MULTILINE)
    assert {int(status) for row in rows for status in row.split(", ")} == set(_STATUS.values())


def test_the_unit_is_one_that_setup_writes() -> None:
    assert set(re.findall(r"edgewright-[a-z-]+\.service", PAGE)) <= set(UNITS)


def test_every_metric_is_listed(defects: ServedProcess) -> None:
    families = text_string_to_metric_families(defects.get("/metrics").text)
    told = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    listed = set(re.findall(r"`((?:edgewright|http)_[a-z_]+)", PAGE))
    assert {name for name in told if not name.startswith("process_")} == listed


@pytest.mark.skipif(shutil.which("curl") is None, reason="NOT TESTED: curl is not installed")
def test_the_examples_with_curl_are_answered(defects: ServedProcess) -> None:
    described, answered = (
        json.loads(
            subprocess.run(
                shlex.split(command.replace(ADDRESS, defects.address)), capture_output=True, text=True, check=True,
                timeout=LONGEST_S,
            ).stdout
        )
        for command in CURLS
    )  # fmt: skip
    assert described["name"] == "defects" and described["inputs"][0]["name"] == "x"
    assert len(answered["outputs"][0]["data"]) == 3


def test_the_example_with_tritons_client_is_answered(defects: ServedProcess) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", block.replace(ADDRESS, defects.address)], capture_output=True, text=True, check=True,
        timeout=LONGEST_S,
    )  # fmt: skip
    assert re.fullmatch(r"\[\[(\s*-?[0-9.e-]+){3}\s*\]\]\n", done.stdout)


def test_the_line_of_the_log_is_one_of_ours(defects: ServedProcess) -> None:
    (shown,) = re.findall(r"^ {4}(\{.+\})$", PAGE, re.MULTILINE)
    assert list(json.loads(shown)) == list(defects.wait_for_line("ready"))
