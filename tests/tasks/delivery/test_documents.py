"""Documents beside a bundle: other people's tools can read them, and the same content gives the same bytes."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from quality_gates.report import ReportContent
from tasks.delivery.documents import ATTESTATION, BILL_OF_MATERIALS, documents_of
from tests.quality_gates.report.examples import ORIGIN, published


@pytest.fixture
def content() -> ReportContent:
    made = published()
    origin = ORIGIN.model_copy(update={"toolchain": (("onnxruntime", "1.31.1"), ("torch", "2.13.0"))})
    verdict = made.verdict.model_copy(update={"file_sha256": ORIGIN.files[0].sha256})
    return made.model_copy(update={"verdict": verdict, "origin": origin})


def test_the_bill_of_materials_is_valid_cyclonedx(content: ReportContent) -> None:
    text = documents_of(content)[BILL_OF_MATERIALS].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"library"', '"book"')) is not None


def test_it_names_the_model_its_files_where_they_came_from_and_what_runs_them(content: ReportContent) -> None:
    bill = json.loads(documents_of(content)[BILL_OF_MATERIALS])
    model = bill["metadata"]["component"]
    assert (model["type"], model["version"]) == ("machine-learning-model", content.version)
    assert model["hashes"] == [{"alg": "SHA-256", "content": ORIGIN.files[0].sha256}]
    assert model["pedigree"]["ancestors"][0]["name"] == content.model
    parts = {part["name"]: part for part in bill["components"]}
    assert {file.name for file in ORIGIN.files} <= set(parts)
    assert parts["onnxruntime"]["scope"] == "required" and parts["torch"]["scope"] == "excluded"
    (needs,) = (each["dependsOn"] for each in bill["dependencies"] if each["ref"] == model["bom-ref"])
    assert "pypi:onnxruntime" in needs and "pypi:torch" not in needs


def test_the_attestation_is_the_reports_own(content: ReportContent) -> None:
    statement = json.loads(documents_of(content)[ATTESTATION])
    assert statement["subject"][0]["digest"] == {"sha256": content.verdict.file_sha256}


def test_the_same_content_gives_the_same_bytes(content: ReportContent) -> None:
    assert documents_of(content) == documents_of(content.model_copy())


def test_content_of_an_older_release_has_none(content: ReportContent) -> None:
    assert documents_of(content.model_copy(update={"origin": None})) == {}
