"""`edgewright init`: what it asks, prints and refuses."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import flows.first_files
from deployments.errors import ConfigurationError
from flows.cli import app
from flows.commands import beginning_command as command
from flows.first_files import Ask, FirstFiles, Wishes

runner = CliRunner()


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Wishes]:
    """Keep what the command asks for, in place of doing it."""
    kept: list[Wishes] = []

    def begin(wishes: Wishes, *_: object) -> FirstFiles:
        kept.append(wishes)
        recipe = wishes.folder / "recipes" / "defects.yaml" if wishes.rows or wishes.workload else None
        written = wishes.folder / "defects.py"
        return FirstFiles((written,), "3", recipe, "Tried with version 3: a loss of 0.1")

    monkeypatch.setattr(flows.first_files, "begin", begin)
    return kept


def test_flags_are_taken_and_the_next_commands_are_told(given: list[Wishes], tmp_path: Path) -> None:
    words = ["init", "defects/3", "--rows", str(tmp_path), "--to", "edge", "--critical", "line=2", "--size-kb", "80"]
    result = runner.invoke(app, words, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    (wishes,) = given
    assert (wishes.model, wishes.version, wishes.critical, wishes.size_kb) == ("defects", "3", ("line=2",), 80)
    assert result.output.startswith("Edgewright: loading torch, MLflow and Prefect ...")  # before it takes long
    assert "Written: edge/defects.py" in result.output
    assert "edgewright compress defects 3 --recipe edge/recipes/defects.yaml" in result.output


@pytest.mark.parametrize(("on_path", "said"), [(False, "{called}"), (True, "edgewright")])
def test_the_next_commands_are_written_as_this_one_was(
    given: list[Wishes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: bool, said: str
) -> None:
    called = tmp_path / "edgewright"
    called.write_text("")
    called.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(called)])
    monkeypatch.setenv("PATH", str(tmp_path if on_path else tmp_path / "nothing"))
    result = runner.invoke(app, ["init", "defects", "--rows", str(tmp_path)])
    assert f"    {said.format(called=called)} compress defects 3" in result.output and given


def test_a_skeleton_says_what_to_do_with_it(given: list[Wishes]) -> None:
    result = runner.invoke(app, ["init", "defects"])
    assert result.exit_code == 0 and given[0].version is None
    assert "Fill in `split`, then: PYTHONPATH=edge edgewright init defects --workload defects:CLASS" in result.output


@pytest.mark.parametrize("words", [["--task", "guessing"], ["--instruction-set", "mmx"]])
def test_a_word_that_an_option_does_not_know_is_one_sentence(given: list[Wishes], words: list[str]) -> None:
    result = runner.invoke(app, ["init", "defects", *words])
    assert isinstance(result.exception, ConfigurationError) and "expected one of" in str(result.exception)
    assert not given


@pytest.mark.parametrize("option", ["--size-kb", "--memory-mb", "--latency-ms"])
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_budget_that_is_no_number_is_refused(given: list[Wishes], option: str, number: str) -> None:
    result = runner.invoke(app, ["init", "defects", option, number])
    said = f"{result.output} {result.exception}"
    assert result.exit_code and ("expected a number as a budget" in said or "should be greater" in said)
    assert not given


@pytest.mark.parametrize(
    ("terminal", "words", "answer"), [(True, [], "typed"), (True, ["--yes"], "60"), (False, [], "60")]
)
def test_questions_are_asked_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, words: list[str], answer: str
) -> None:
    answers: list[str] = []

    def begin(wishes: Wishes, _workspace: object, ask: Ask, _say: object) -> FirstFiles:
        answers.append(ask("How many kB", "60"))
        return FirstFiles((wishes.folder / "defects.py",), "1", None)

    monkeypatch.setattr(flows.first_files, "begin", begin)
    monkeypatch.setattr("typer.prompt", lambda *_args, **_kwargs: " typed ")
    monkeypatch.setattr(command, "_is_terminal", lambda: terminal)
    assert runner.invoke(app, ["init", "defects", *words]).exit_code == 0
    assert answers == [answer]
