"""The command line: what it prints, and with which code it ends."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from deployments.device import shipped_devices
from flows.cli import app, main
from flows.listings import level_sentence
from quality_gates.policy import AlphaSpending

runner = CliRunner()


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["compress"],
        ["reconcile"],
        ["demo"],
        ["devices"],
        ["ingest"],
        ["export"],
        ["recipes", "check"],
        ["gates", "plan"],
    ],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = runner.invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_devices_are_listed() -> None:
    result = runner.invoke(app, ["devices", "profiles"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert all(device.name in result.output for device in shipped_devices())


def test_a_good_recipe_is_called_good() -> None:
    result = runner.invoke(app, ["recipes", "check", "digits"])
    assert result.exit_code == 0
    assert "good" in result.output and "gateway, camera" in result.output


def test_wrong_input_is_one_sentence_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["edgewright", "recipes", "check", "no/such/recipe.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no/such/recipe.yaml" in said and "Traceback" not in said


def test_a_plan_says_which_gates_the_test_rows_can_decide() -> None:
    result = runner.invoke(app, ["gates", "plan", "digits", "--discordance", "0.5"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "recall on 8 against deployed" in result.output and "rows more, or a wider margin" in result.output
    assert "not a matter of rows" in result.output


def test_a_plan_says_the_level_of_a_look() -> None:
    said = level_sentence(AlphaSpending(total=0.05, looks=4))
    assert said == "Planned at 1.25 % false passes a look: the recipe spends 5 % over 4 looks."


@pytest.mark.parametrize("day", ["31.01.2027", "2027-02-30", "tomorrow", ""])
def test_a_day_in_another_form_is_one_sentence_with_an_example(
    day: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.cli.prepare", lambda _: None)
    words = ["--device", "press", "--name", "Ada", "--reason", "line 3 is shut", "--until", day]
    monkeypatch.setattr("sys.argv", ["edgewright", "approve", "defects/7", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"got {day!r}; write it like 2027-01-31" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["looks", "grant", "digits", "--looks", "0"],
            "--looks: expected 1 or more further looks, got 0; say how",
        ),
        (["looks", "grant", "digits", "--looks", "-5"], "--looks: expected 1 or more further looks, got -5; say how"),
        (["gates", "plan", "digits", "--accuracy", "90"], "expected a share of rows from 0 to 1, got 90; write 5 %"),
        (["gates", "plan", "digits", "--discordance", "-1"], "expected a share of rows from 0 to 1, got -1; write 5 %"),
    ],
)
def test_a_number_that_an_option_does_not_take_is_one_sentence(
    words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.cli.prepare", lambda _: None)
    monkeypatch.setattr("flows.commands.decision_commands.prepare", lambda _: None)
    named = ["--by", "Ada", "--reason", "spring"] if words[0] == "looks" else []
    monkeypatch.setattr("sys.argv", ["edgewright", *words, *named])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {says}") and said.count("\n") == 1


def test_nothing_to_compress_claims_no_more_than_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.cli.prepare", lambda _: None)
    monkeypatch.setattr("flows.cli.start_prefect", lambda: lambda: None)
    monkeypatch.setattr("flows.reconcile.reconcile", lambda _: [])
    result = runner.invoke(app, ["reconcile"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "no newer version waits for an answer" in result.output and "Every" not in result.output


SLOW = {"torch", "prefect", "onnx", "onnxruntime", "scipy.stats", "tasks.delivery"}


def test_commands_that_only_read_do_not_load_what_computes() -> None:
    loads = "import sys, flows.cli, flows.console, flows.plan, flows.reports, quality_gates.report; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert "mlflow" in loaded and not SLOW & loaded


def test_commands_about_keys_load_neither_models_nor_mlflow() -> None:
    loads = "import sys, flows.cli, flows.keys.status_table, tasks.repository, tasks.workspace; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert "tuf" in loaded and not (SLOW | {"mlflow"}) & loaded
