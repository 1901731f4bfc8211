"""The attestation follows in-toto's rules for Statement v1 and the predicate test-result v0.1, and fits into DSSE."""

import base64
import json
import re
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import pytest

from quality_gates.approval import approve
from quality_gates.report import PAYLOAD_TYPE, ReportContent, attestation
from quality_gates.verdict import Verdict
from tests.quality_gates.report import examples

FILE = "3c" * 32


def judged(content: ReportContent) -> ReportContent:
    """The content with a verdict on the very file that its origin names."""
    return content.model_copy(update={"verdict": Verdict.of(content.verdict.gates, file=FILE)})


def statement(content: ReportContent) -> dict[str, Any]:
    written = attestation(content)
    assert written is not None
    read: dict[str, Any] = json.loads(written)
    return read


def check_type_uri(uri: str) -> None:
    parts = urlsplit(uri)
    assert parts.scheme and (parts.scheme, parts.netloc) == (parts.scheme.lower(), parts.netloc.lower())


def check_descriptor(descriptor: dict[str, Any]) -> None:
    """Check the field rules of a ResourceDescriptor: one of uri, digest and content, digests in lower-case hex."""
    assert {"uri", "digest", "content"} & descriptor.keys()
    assert descriptor.keys() <= {
        "name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations",
    }  # fmt: skip
    for algorithm, value in descriptor.get("digest", {}).items():
        assert algorithm == "sha256" and re.fullmatch("[0-9a-f]{64}", value)


@pytest.mark.parametrize(
    "content", [examples.refused(), examples.published(), examples.first_deployment(), examples.undecided()]
)
def test_the_statement_keeps_the_rules_of_its_fields(content: ReportContent) -> None:
    said = statement(judged(content))
    assert said.keys() == {"_type", "subject", "predicateType", "predicate"}
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    for uri in (said["_type"], said["predicateType"]):
        check_type_uri(uri)
    assert said["subject"]
    for subject in said["subject"]:
        check_descriptor(subject)
        assert "digest" in subject
    names = [subject["name"] for subject in said["subject"]]
    assert len(set(names)) == len(names)
    predicate = said["predicate"]
    assert said["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert predicate["result"] in {"PASSED", "WARNED", "FAILED"}
    assert predicate["configuration"]
    for descriptor in predicate["configuration"]:
        check_descriptor(descriptor)
    tests = [*predicate["passedTests"], *predicate["warnedTests"], *predicate["failedTests"]]
    waiting = predicate["edgewright"]["notApplicableTests"]
    assert sorted([*tests, *waiting]) == sorted(gate.name for gate in content.verdict.gates)


def test_it_names_file_verdict_recipe_splits_and_toolchain() -> None:
    content = judged(examples.refused())
    said = statement(content)
    assert said["subject"][0] == {"name": "model.onnx", "digest": {"sha256": FILE}}
    predicate = said["predicate"]
    assert (predicate["result"], predicate["edgewright"]["verdict"]) == ("FAILED", "fail")
    assert predicate["failedTests"] == ["accuracy-deployed", "recall-8-deployed"]
    assert [each["digest"]["sha256"] for each in predicate["configuration"]] == ["4f" * 32, "1a" * 32, "2b" * 32]
    assert predicate["edgewright"]["toolchain"] == {"onnxruntime": "1.31.1"}
    assert predicate["edgewright"]["verdictSha256"] == content.verdict.sha256


def test_a_pass_that_warns_is_warned_and_an_undecided_one_failed() -> None:
    passed = judged(examples.published())
    assert statement(passed)["predicate"]["result"] == "PASSED"
    unproven = passed.model_copy(update={"is_unproven": True, "instruction_set": "avx512_vnni, not the device's avx2"})
    assert statement(unproven)["predicate"]["result"] == "WARNED"
    assert statement(unproven)["predicate"]["edgewright"]["instructionSetProven"] is False
    assert statement(judged(examples.undecided()))["predicate"]["result"] == "FAILED"


def test_an_approval_stands_beside_a_failed_result() -> None:
    content = judged(examples.refused())
    approved = approve(
        content.verdict, name="Ada", reason="The press stands still.", given=date(2026, 1, 1), until=date(2026, 2, 1),
        run_key="k", file=FILE,
    )  # fmt: skip
    said = statement(content.model_copy(update={"verdict": approved}))["predicate"]
    assert (said["result"], said["edgewright"]["verdict"], said["edgewright"]["decided"]) == (
        "FAILED", "overridden", "fail",
    )  # fmt: skip
    assert said["edgewright"]["approval"]["name"] == "Ada"


def test_a_signature_over_its_envelope_covers_every_byte() -> None:
    """Build DSSE's pre-authentication encoding, which is what the delivery will sign."""
    payload = attestation(judged(examples.published()))
    assert payload is not None and payload == attestation(judged(examples.published()))
    envelope = {"payloadType": PAYLOAD_TYPE, "payload": base64.b64encode(payload).decode(), "signatures": []}
    read = json.loads(json.dumps(envelope))
    body, kind = base64.b64decode(read["payload"]), read["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)
    assert body == payload and signed.startswith(b"DSSEv1 28 application/vnd.in-toto+json ")


def test_what_was_not_measured_or_was_recorded_before_has_no_attestation() -> None:
    content = judged(examples.published())
    assert attestation(content.model_copy(update={"origin": None})) is None
    assert attestation(examples.published()) is None  # its verdict is about no file
