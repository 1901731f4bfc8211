"""Rules about prose: they find what they are for, and nothing else."""

from pathlib import Path

import pytest

from tests import prose
from tests.prose import MOST_WORDS, Passage, check_docstring, check_paragraph, docstrings, findings, paragraphs

HERE = Path(__file__)


def test_documents_and_rooms_keep_the_rules() -> None:
    assert findings() == []


def test_the_rules_look_at_documents_and_code() -> None:
    documents = {path.name for path in prose._files(prose.DOCUMENTS, "*.md")}
    code = {path.name for path in prose._files(prose.ROOMS, "*.py")}
    assert {"README.md", "gates.md", "0001-content-addressed-stages.md"} <= documents
    assert {"model_recipe.py", "digits.py", "hooks.py", "prose.py", "trajectory.py", "compress.py", "worker.py"} <= code


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("What a stage stands on.", "begins with `What`; begin with a noun or a verb"),
        ("Whether it saturates.", "begins with `Whether`"),
        ("How long to train.", "begins with `How`"),
        ("The models on the front.", "`front`: write pareto"),
        ("Bounds from resampling.", "`resampling`: write bootstrap"),
        ("A function of the user's own.", "write custom metric"),
        ("The parent teaches the student.", "`teaches`: write train"),
        ("From cheap to dear.", "`dear`: write costly"),
        ("Each file. Of one content there is one bundle.", "begins with `Of one`"),
    ],
)
def test_what_is_found_in_a_docstring(text: str, says: str) -> None:
    (finding,) = check_docstring(Passage(HERE, 7, text))
    assert says in finding
    assert ":7: " in finding


@pytest.mark.parametrize(
    "text",
    [
        "Cache keys: digests of everything that a result depends on.",
        "Whatever is missing fails.",
        "The pareto front, in front of the house; the teacher's `teach()` and `front`.",
        "Howard's networks.",
    ],
)
def test_what_is_no_finding(text: str) -> None:
    assert list(check_docstring(Passage(HERE, 1, text))) == []


def test_a_long_sentence_is_found_where_code_counts_as_one_word() -> None:
    def found(words: int) -> list[str]:
        text = f"A first sentence. `code that is long` {' '.join(['word'] * (words - 1))}. Another one."
        return list(check_paragraph(Passage(HERE, 1, text)))

    assert found(MOST_WORDS) == []
    assert f"a sentence of {MOST_WORDS + 1} words" in found(MOST_WORDS + 1)[0]


def test_paragraphs_are_found_without_code_tables_and_headings(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading\n\nA paragraph\nof two lines.\n\n    code\n\n| a | table |\n\n- first\n  goes on\n- second\n\n"
        "```yaml\nkey: value\n```\nAt the end.\n"
    )
    assert [(found.line, found.text) for found in paragraphs(page)] == [
        (3, "A paragraph of two lines."),
        (10, "first goes on"),
        (12, "second"),
        (17, "At the end."),
    ]


def test_docstrings_of_fields_are_found_too(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""Module."""\nclass A:\n    """Class."""\n    b: int\n    """Field."""\n    def c(self):\n        """Do."""\n'
    )
    assert [(found.line, found.text) for found in docstrings(module)] == [
        (1, "Module."),
        (3, "Class."),
        (5, "Field."),
        (7, "Do."),
    ]
