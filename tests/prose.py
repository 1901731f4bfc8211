"""Rules about the words of documentation and docstrings, run by `make lint`: `python -m tests.prose`.

Docstrings begin with a noun or a verb, sentences of the documentation are short, and the field's words are used in
place of words of our own. `ROOMS` lists the code that the rules cover.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("flows", "tasks", "deployments", "model_compression", "quality_gates", "edge_runtime", "docs", "tests")
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs")
MOST_WORDS = 35

_QUESTION = re.compile(r"(what|whether|which|how|who|whose|where|when|why)\b", re.IGNORECASE)
_DIALECT: Mapping[str, str] = {
    r"(?<!pareto )(?<!in )\bfront\b": "pareto (of models that no other one beats)",
    r"\bresampl\w*": "bootstrap",
    r"\bfunctions? of (yours|(the user|one)'s( own)?)\b": "custom metric",
    r"\bown functions?\b": "custom metric",
    r"\b(teach|teaches|teaching|taught)\b": "train, or distil",
    r"\bdeaf\b": "masked, with zeroed weights",
    r"\bcheckpoints?\b": "snapshot",
    r"\b(edge|emulated) targets?\b": "device, or emulated CPU",
    r"\bworth more than a second\b": "takes longer than a second",
    r"\bdear(er|est)?\b": "costly, expensive",
}
_STARTS = re.compile(r"(Of one|Of all that|Without it none)\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])[)*_\"]*\s+(?=[A-Z`*\[\"(])")
_FENCE = re.compile(r"^\s*(```|~~~)")
_NO_PROSE = re.compile(r"^(\||#|<!--|\s{4,}\S)")
_LIST_ITEM = re.compile(r"^\s*([-*]|\d+\.)\s+")


@dataclass(frozen=True)
class Passage:
    """A paragraph of a document or a docstring, with the line that it begins in."""

    path: Path
    line: int
    text: str

    def finding(self, message: str) -> str:
        """Say what is wrong in the form in which linters do."""
        shown = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{shown}:{self.line}: {message}"


def docstrings(path: Path) -> Iterator[Passage]:
    """Yield every text that stands alone in a Python file: of modules, classes, functions and fields."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                text = statement.value.value
                if isinstance(text, str) and text.strip():
                    yield Passage(path, statement.lineno, text.strip())


def paragraphs(path: Path) -> Iterator[Passage]:
    """Yield the paragraphs and list items of a Markdown file, without code, tables and headings."""
    lines: list[str] = []
    first, fenced = 0, False
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), ""], start=1):
        fence = bool(_FENCE.match(line))
        fenced ^= fence
        code = fenced or fence or (not lines and bool(_NO_PROSE.match(line))) or line.startswith(("|", "#"))
        if lines and (code or not line.strip() or _LIST_ITEM.match(line)):
            yield Passage(path, first, " ".join(lines))
            lines = []
        if not code and line.strip():
            first = first if lines else number
            lines.append(_LIST_ITEM.sub("", line).strip())


def check_docstring(passage: Passage) -> Iterator[str]:
    """Yield findings about a docstring."""
    if _QUESTION.match(passage.text):
        yield passage.finding(f"a docstring begins with `{passage.text.split()[0]}`; begin with a noun or a verb")
    yield from check_words(passage)


def check_paragraph(passage: Passage) -> Iterator[str]:
    """Yield findings about a paragraph of a document."""
    for sentence in _SENTENCE_END.split(_plain(passage.text)):
        words = len(re.findall(r"[\w'’.,-]*\w[\w'’.,-]*", sentence))
        if words > MOST_WORDS:
            yield passage.finding(f"a sentence of {words} words, more than {MOST_WORDS}: {sentence[:60]} ...")
    yield from check_words(passage)


def check_words(passage: Passage) -> Iterator[str]:
    """Yield words of our own where the field has one."""
    text = re.sub(r"`[^`]*`", "`code`", passage.text)
    for pattern, instead in _DIALECT.items():
        for found in re.finditer(pattern, text, re.IGNORECASE):
            yield passage.finding(f"`{found[0]}`: write {instead}")
    for sentence in _SENTENCE_END.split(text):
        if _STARTS.match(sentence):
            yield passage.finding(f"a sentence begins with `{' '.join(sentence.split()[:2])}`: begin with its subject")


def findings() -> list[str]:
    """Check all documents and the docstrings of the rooms that are covered."""
    documents = chain.from_iterable(map(paragraphs, _files(DOCUMENTS, "*.md")))
    code = chain.from_iterable(map(docstrings, _files(ROOMS, "*.py")))
    return [*chain.from_iterable(map(check_paragraph, documents)), *chain.from_iterable(map(check_docstring, code))]


def _files(places: tuple[str, ...], pattern: str) -> list[Path]:
    found = [[place] if place.is_file() else sorted(place.rglob(pattern)) for place in (ROOT / name for name in places)]
    return [path for paths in found for path in paths]


def _plain(text: str) -> str:
    """Take the marks of Markdown off: code counts as one word, a link as its text."""
    text = re.sub(r"`[^`]*`", "`code`", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


def main() -> int:
    """Print every finding; 1 where there is one."""
    found = findings()
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
