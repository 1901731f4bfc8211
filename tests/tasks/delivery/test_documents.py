"""Documents beside a bundle: other people's tools can read them, and the same content gives the same bytes."""

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Targets

from edge_runtime.bundle import BLOBS, read_bundle
from quality_gates.report import PAYLOAD_TYPE, ReportContent
from tasks.delivery.documents import ATTESTATION, BILL_OF_MATERIALS, documents_of
from tasks.delivery.offers import SIGNED_ATTESTATION
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.quality_gates.report.examples import ORIGIN, published
from tests.tasks.delivery.counter import Counter
from tests.tasks.delivery.devices import Reader
from tests.tasks.tiny import FEATURES, job


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


@pytest.fixture
def counter(workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Counter:
    return Counter(job(workspace, str(request.node.name), "2"), linear_model(tmp_path / "candidate.onnx", FEATURES))


def at_the_destination(counter: Counter) -> dict[str, bytes]:
    """Return the documents of the one bundle, each being what the manifest says."""
    (path,) = counter.bundles()
    bundle = read_bundle(path)
    found = {blob.name: (bundle.root / BLOBS / blob.sha256).read_bytes() for blob in bundle.manifest.documents}
    assert {name: len(data) for name, data in found.items()} == {
        blob.name: blob.size for blob in bundle.manifest.documents
    }
    return found


def key_of(workspace: Workspace, role: str) -> Key:
    """Return the public key that the repository names for a device's role."""
    targets = Metadata[Targets].from_file(str(workspace.target / "metadata" / "1.targets.json")).signed
    (keyid,) = targets.get_delegated_role(role).keyids
    return targets.get_key(keyid)


def test_documents_lie_at_the_destination_and_the_attestation_is_signed(
    reader: Reader, counter: Counter, content: ReportContent
) -> None:
    documents = documents_of(content)
    counter.publish(documents=documents)
    assert reader.manifest(counter.job.model) is not None  # it looks at every file that the signed manifest names
    found = at_the_destination(counter)
    signed = found.pop(SIGNED_ATTESTATION)
    assert found == documents
    assert signed.count(b"\n") == 1 and signed.endswith(b"\n")
    envelope = Envelope.from_dict(json.loads(signed))
    assert (envelope.payload, envelope.payload_type) == (documents[ATTESTATION], PAYLOAD_TYPE)
    envelope.verify([key_of(reader.workspace, "device-bench")], 1)
    with pytest.raises(VerificationError):
        envelope.verify([key_of(reader.workspace, "device-camera")], 1)
    envelope.payload = envelope.payload.replace(b"PASSED", b"FAILED")
    with pytest.raises(VerificationError):
        envelope.verify([key_of(reader.workspace, "device-bench")], 1)


def test_a_signed_attestation_is_the_same_again(reader: Reader, counter: Counter, content: ReportContent) -> None:
    counter.publish(documents=documents_of(content))
    before = reader.manifest(counter.job.model)
    counter.publish(documents=documents_of(content))
    assert reader.manifest(counter.job.model) == before and len(counter.bundles()) == 1


def test_without_a_repository_the_attestation_stays_unsigned(counter: Counter, content: ReportContent) -> None:
    counter.publish(documents=documents_of(content))
    assert at_the_destination(counter) == documents_of(content)
