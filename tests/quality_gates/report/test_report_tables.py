"""The report's facts as tables."""

import json

from quality_gates.report import report_tables
from tests.quality_gates.report import examples


def test_every_fact_has_its_row_and_is_plain_json() -> None:
    content = examples.refused()
    tables = report_tables(content)
    assert [gate["name"] for gate in tables["gates"]] == [gate.name for gate in content.verdict.gates]
    assert tables["models"][1]["Recall of label 8"] == 41 / 42
    assert [(row["role"], row["undisturbed"]) for row in tables["turns"]][2] == ("parent", 7)
    assert tables["ledger"][0]["label = 8"] == 0.97
    assert [row["chosen"] for row in tables["frontier"]].count(True) == 1
    assert len(tables["flips"]) == 20 and "image_png_base64" not in tables["flips"][0]
    assert json.loads(json.dumps(tables)).keys() == tables.keys()


def test_what_was_not_measured_makes_no_empty_table() -> None:
    assert report_tables(examples.not_measured()).keys() == {"gates", "models", "ladder", "slices", "frontier"}
