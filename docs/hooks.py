"""MkDocs hooks: pages that include files of the repository's root, and reference pages generated from the models."""

import re
from pathlib import Path
from typing import Any, cast, get_args

from deployments.reference import Document, page, write_schemas

_INCLUDE = re.compile(r"<!-- include: ([A-Z]+\.md) -->")
_REFERENCE = re.compile(rf"<!-- reference: ({'|'.join(get_args(Document))}) -->")
_TO_ROOT = re.compile(r"\]\(((?:\.\./)*)\.\./(README|ARCHITECTURE|CONTRIBUTING|CHANGELOG)\.md")
_PAGES = {"README": "index"}


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Fill in what a page includes, and turn links to the repository's root into links to pages."""
    root = Path(config["config_file_path"]).parent
    markdown = _INCLUDE.sub(lambda found: _at_root((root / found[1]).read_text(encoding="utf-8")), markdown)
    markdown = _REFERENCE.sub(lambda found: _without_title(page(cast(Document, found[1]))), markdown)
    return _TO_ROOT.sub(lambda found: f"]({found[1]}{_page(found[2])}.md", markdown)


def on_post_build(config: Any, **_: Any) -> None:
    """Put the JSON Schemas beside the pages."""
    write_schemas(Path(config["site_dir"]) / "schemas")


def _at_root(text: str) -> str:
    """Make links of a file in the root relative to the folder of the pages."""
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(
        r"\]\((README|ARCHITECTURE|CONTRIBUTING|CHANGELOG)\.md",
        lambda found: f"]({_page(cast(Document, found[1]))}.md",
        text,
    )


def _page(name: str) -> str:
    return _PAGES.get(name, name.lower())


def _without_title(text: str) -> str:
    return text.partition("\n\n")[2]
