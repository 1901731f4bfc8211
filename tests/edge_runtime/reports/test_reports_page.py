"""The page docs/reports.md against the programs that it describes."""

import argparse
import re
import shlex

import pytest

from edge_runtime.__main__ import _parser
from edge_runtime.configuration import EXAMPLE
from edge_runtime.reports import HEALTHS, MOST_REPORT_BYTES, OUTCOMES
from edge_runtime.serving.drift_counter import MOST_VALUES, ROWS_PER_S
from edge_runtime.statistics import LARGE_DRIFT, SMALL_DRIFT
from edge_runtime.statistics.tensor_drift import OUTSIDE, PRIOR_ROWS
from tests.edge_runtime.homes import ROOT

PAGE = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}/opt/edgewright/bin/python -m edge_runtime (.+?)$", PAGE, re.MULTILINE)


def test_the_table_is_that_of_the_configuration() -> None:
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown.startswith("[reports]") and EXAMPLE.endswith(shown)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_runtime_takes_the_commands_as_they_stand(command: str) -> None:
    words = shlex.split(command.partition(" > ")[0])
    assert _parser().parse_args(words).command == words[0]


def test_every_action_is_shown() -> None:
    (commands,) = (each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    (action,) = (each for each in commands.choices["reports"]._actions if each.dest == "action")
    shown = {shlex.split(command)[1] for command in COMMANDS if command.startswith("reports")}
    assert shown == set(action.choices or ())


def test_words_and_figures_are_those_of_the_code() -> None:
    assert all(word in PAGE for word in (*OUTCOMES, *HEALTHS))
    assert f"below {SMALL_DRIFT:g}" in PAGE and f"{LARGE_DRIFT:g} and above" in PAGE
    assert f"- {PRIOR_ROWS} rows as expected" in PAGE and f"{ROWS_PER_S:g} rows a second" in PAGE
    assert f"{MOST_VALUES:,} values of a row" in PAGE and (OUTSIDE == 0.001 and "a thousandth is expected" in PAGE)
    assert f"client_max_body_size {MOST_REPORT_BYTES >> 10}k" in PAGE
