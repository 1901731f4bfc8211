"""The attestation: an in-toto Statement on a judged model, unsigned, as the payload of a DSSE envelope.

The predicate is in-toto's test result, so that policies which know nothing of Edgewright can read it: each gate is a
test. What that predicate has no field for is under `edgewright`, which takes nothing back. The bytes are the same for
the same content: keys are sorted and no time is in them.
Source: https://github.com/in-toto/attestation, spec/v1/statement.md and spec/predicates/test-result.md.
"""

import json
from collections.abc import Iterator
from typing import Any

from quality_gates.report.content import Origin, ReportContent
from quality_gates.verdict import GateResult, Verdict

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"


def attestation(content: ReportContent) -> bytes | None:
    """Return the statement as JSON; None for content of an older release, and for a file that was not measured.

    A verdict that a person overrode stays FAILED, with the approval beside it: an approval is for policies to accept.
    """
    origin = content.origin
    if origin is None or not origin.files or content.verdict.file_sha256 is None:
        return None
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": file.name, "digest": {"sha256": file.sha256}} for file in origin.files],
        "predicateType": TEST_RESULT,
        "predicate": _predicate(content, origin),
    }
    return (json.dumps(statement, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _predicate(content: ReportContent, origin: Origin) -> dict[str, Any]:
    verdict = content.verdict
    return {
        "result": _result(content),
        "configuration": list(_configuration(origin)),
        "passedTests": [gate.name for gate in verdict.gates if gate.outcome == "pass"],
        "warnedTests": [gate.name for gate in verdict.gates if _warns(gate)],
        "failedTests": [gate.name for gate in verdict.blocking],
        "edgewright": _own(content, origin),
    }


def _result(content: ReportContent) -> str:
    """Return FAILED unless the gates pass, and WARNED where one only warns or another instruction set answered."""
    gates = content.verdict.gates
    if content.verdict.decided != "pass":
        return "FAILED"
    return "WARNED" if content.is_unproven or any(map(_warns, gates)) else "PASSED"


def _warns(gate: GateResult) -> bool:
    return gate.outcome in ("fail", "inconclusive") and not gate.blocking


def _configuration(origin: Origin) -> Iterator[dict[str, Any]]:
    yield {"name": f"recipe {origin.recipe}", "digest": {"sha256": origin.recipe_sha256}}
    for split in origin.splits:
        yield {
            "name": f"{split.name} split",
            "digest": {"sha256": split.sha256},
            "annotations": {"rows": split.rows},
        }


def _own(content: ReportContent, origin: Origin) -> dict[str, Any]:
    verdict = content.verdict
    return {
        "model": content.model,
        "version": content.version,
        "device": content.device,
        "verdict": verdict.outcome,
        "decided": verdict.decided,
        "verdictSha256": verdict.sha256,
        "inconclusiveTests": [gate.name for gate in verdict.gates if gate.outcome == "inconclusive"],
        "notApplicableTests": [gate.name for gate in verdict.gates if gate.outcome == "not_applicable"],
        "answeredOn": content.instruction_set,
        "instructionSetProven": bool(content.instruction_set) and not content.is_unproven,
        "toolchain": dict(origin.toolchain),
        "run": origin.run,
        "approval": _approval(verdict),
        "signOff": _sign_off(content),
    }


def _sign_off(content: ReportContent) -> dict[str, Any] | None:
    """Return what persons have decided; a signature is that of the statement, which the record beside the run has."""
    asked = content.sign_off
    if asked is None:
        return None
    return {
        "persons": asked.persons,
        "until": asked.until.isoformat(),
        "state": asked.state,
        "namesAreClaims": not asked.by_key,
        "given": [each.model_dump(mode="json", exclude={"subject"}) for each in asked.given],
    }


def _approval(verdict: Verdict) -> dict[str, str] | None:
    approval = verdict.approval
    if approval is None:
        return None
    return {
        "name": approval.name,
        "reason": approval.reason,
        "given": str(approval.given),
        "until": str(approval.until),
        "verdictSha256": approval.verdict_sha256,
    }
