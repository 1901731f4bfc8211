"""The hooks of the documentation's pages: what they fill in, and the links that they turn."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = {"config_file_path": str(ROOT / "mkdocs.yml")}


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """The module, which MkDocs loads by its path."""
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_page_is_the_readme_with_links_to_pages(hooks: ModuleType) -> None:
    page = hooks.on_page_markdown((ROOT / "docs" / "index.md").read_text(), config=CONFIG)
    assert page.startswith("# Edgewright\n")
    assert "(tutorial.md)" in page and "(architecture.md)" in page and "(decisions/index.md)" in page
    assert "(docs/" not in page


@pytest.mark.parametrize(("name", "key"), [("recipe-keys.md", "ladder"), ("device-keys.md", "budgets")])
def test_pages_of_keys_have_a_table_and_one_title(hooks: ModuleType, name: str, key: str) -> None:
    page = hooks.on_page_markdown((ROOT / "docs" / name).read_text(), config=CONFIG)
    assert f"| `{key}` |" in page
    assert len(re.findall(r"^# ", page, re.MULTILINE)) == 1


def test_links_to_the_root_become_links_to_pages(hooks: ModuleType) -> None:
    given = "[a](../ARCHITECTURE.md#the-flow) [b](../../README.md) [c](gates.md)"
    assert (
        hooks.on_page_markdown(given, config=CONFIG) == "[a](architecture.md#the-flow) [b](../index.md) [c](gates.md)"
    )


def test_the_schemas_are_put_beside_the_pages(hooks: ModuleType, tmp_path: Path) -> None:
    hooks.on_post_build(config={"site_dir": str(tmp_path)})
    assert sorted(path.name for path in (tmp_path / "schemas").iterdir()) == [
        "device.schema.json",
        "recipe.schema.json",
    ]


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if "changes" not in page.parts and f"{page}" not in navigation] == []
