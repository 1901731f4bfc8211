"""The documentation: commands that it names exist, files are there, links lead somewhere."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import typer
import yaml
from jsonschema import Draft202012Validator
from typer.core import TyperGroup

from deployments.answers import TASKS, check_attributes
from deployments.recipe import read_recipe
from deployments.reference import DOCUMENTS, page, schema
from deployments.workload import SPLITS, load_workload, read_splits
from flows.cli import app
from quality_gates.gates import KINDS
from quality_gates.policy import NAMED
from tests.deployments.example_rows import Rows

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
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SNIPPETS = [(name, text) for name in TEXTS for kind, text in BLOCK.findall(TEXTS[name]) if kind == "yaml"]
PYTHON = [(name, text) for name in TEXTS for kind, text in BLOCK.findall(TEXTS[name]) if kind == "python"]
WORKLOADS = {name: text for name, text in PYTHON if "(Workload)" in text}
METRICS = [text for _, text in PYTHON if "-> float" in text]
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
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    generated = [page(document) for document in DOCUMENTS if f"<!-- reference: {document} -->" in text]
    return set(re.findall(r"\{#([\w-]+)\}", "".join(generated))) | {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


_OF_WHOLE_FILES = {"required", "if", "then", "else"}


def _partial(whole: Any) -> Any:
    """Return a schema that takes a part of a file too."""
    if isinstance(whole, dict):
        return {key: _partial(value) for key, value in whole.items() if key not in _OF_WHOLE_FILES}
    return [_partial(value) for value in whole] if isinstance(whole, list) else whole


@pytest.mark.parametrize(("name", "text"), SNIPPETS)
def test_parts_of_yaml_files_are_valid(name: str, text: str) -> None:
    content = yaml.safe_load(text)
    schemas = [Draft202012Validator(_partial(schema(document))) for document in DOCUMENTS]
    assert content and any(validator.is_valid(content) for validator in schemas), f"{name}: {text}"


def test_a_part_of_a_yaml_file_with_a_wrong_key_is_found() -> None:
    assert not Draft202012Validator(_partial(schema("recipe"))).is_valid({"prune": {"kind": "structured", "ration": 1}})


def test_the_recipe_and_the_device_of_the_tutorial_are_complete(tmp_path: Path) -> None:
    texts = [text for name, text in SNIPPETS if name == "docs/tutorial.md"]
    for document, text, path in zip(DOCUMENTS, texts, ("recipes/defects", "devices/press"), strict=True):
        Draft202012Validator(schema(document)).validate(yaml.safe_load(text))
        file = tmp_path / f"{path}.yaml"
        file.parent.mkdir()
        file.write_text(text)
        assert f"`edge/{path}.yaml`" in TEXTS["docs/tutorial.md"]
    read = read_recipe(tmp_path / "recipes" / "defects.yaml")
    assert [profile.name for profile in read.devices] == ["press"]
    assert read.workload == "defects:Defects"


def test_the_page_of_gates_shows_each_kind_that_it_describes_and_every_metric() -> None:
    parts = [yaml.safe_load(text) for name, text in SNIPPETS if name == "docs/gates.md"]
    described = set(re.findall(r"^## `(\w+)`$", TEXTS["docs/gates.md"], re.M))
    assert {gate["kind"] for part in parts for gate in part["gates"]} == described
    assert len(described) >= 8
    assert described <= {*KINDS}
    assert [name for name in NAMED if f"\n| `{name}` | " not in TEXTS["docs/gates.md"]] == []


def test_the_version_that_is_shown_for_a_try_is_one_of_the_shipped_recipe() -> None:
    (text,) = (text for name, text in PYTHON if name == "docs/operation.md" and "log_model" in text)
    logged: list[tuple[torch.nn.Module, dict[str, Any]]] = []
    text = text.replace("in range(8)", "in range(1)")  # each pass takes a second
    text = text.replace("mlflow.pytorch.log_model(", "log_model(")
    exec(text, {"log_model": lambda model, **named: logged.append((model, named))})
    ((model, named),) = logged
    assert named["registered_model_name"] == read_recipe(Path("digits")).model
    assert model(torch.from_numpy(named["input_example"])).shape == (2, 10)


def test_the_custom_metric_that_is_shown_is_one() -> None:
    rows = pd.DataFrame({"row_id": [0, 1], "target": [1, 1], "prediction": [1, 0], "score": [1.0, 0.0]})
    for text in METRICS:
        names: dict[str, Any] = {}
        exec(text, names)
        (metric,) = (value for name, value in names.items() if callable(value) and f"def {name}(" in text)
        assert metric(rows.assign(defect="scratch")) == 1
    assert len(METRICS) == 1


def test_the_page_of_workloads_shows_every_task_with_what_it_needs() -> None:
    text = TEXTS["docs/workloads.md"]
    names: dict[str, Any] = {"Defects": Rows, "F": F, "np": np}
    exec("\n".join(code for name, code in PYTHON if name == "docs/workloads.md"), names)
    shown = [
        kind() for kind in names.values() if isinstance(kind, type) and issubclass(kind, Rows) and kind is not Rows
    ]
    assert {workload.task for workload in shown} == set(TASKS) - {"embedding"}
    for shows in shown:
        check_attributes(shows)
    assert [task for task in TASKS if f"\n| `{task}` | " not in text] == []
    ranked = next(shows for shows in shown if shows.task == "own")
    assert ranked.score(np.array([[4.0, 3, 2, 1]] * 2), np.array([2, 3])).tolist() == [1, 0]


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_the_workload_that_is_shown_is_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in SPLITS:
        images, labels = np.ones((4, 1, 8, 8), np.float32), np.array([0, 1, 0, 1])
        np.savez(tmp_path / f"{split}.npz", images=images, labels=labels, defect=labels, line=labels)
    module = f"defects_of_{Path(name).stem}".lower()
    (tmp_path / f"{module}.py").write_text(WORKLOADS[name].replace("/data/defects", str(tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)
    workload = load_workload(f"{module}:Defects")
    splits = read_splits(workload)
    assert list(splits["test"].slices.columns) == ["defect", "line"]
    assert workload.loss(torch.zeros(4, 2), torch.from_numpy(splits["test"].targets)).item() > 0
