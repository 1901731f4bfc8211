"""The content of a bundle that is published: what was judged, described by a manifest, with all of its files."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from deployments.device import DeviceProfile
from edge_runtime.backbone import load_model
from edge_runtime.bundle import DeclaredHead, Manifest, Measured, RuntimeRange, Validity, blobs_of
from edge_runtime.model_files import MODEL, digest_with_heads, head_file, heads_of, model_files
from edge_runtime.settings import is_plain_text
from quality_gates.sign_off import SignOffs
from quality_gates.verdict import Verdict
from tasks.delivery.destinations import RELEASE
from tasks.errors import PublishError
from tasks.measurement import GOLDEN, Acceptance, session_settings
from tasks.registry import ANSWERS, NOT_RECORDED, OF_WORKLOAD, Candidate, Rollback


@dataclass(frozen=True)
class Publication:
    """A judged candidate that is to be released: its verdict, its file, and how the registry describes it.

    `against` is the number of the release that was deployed when the gates decided, None for nothing. `back` permits an
    older version to replace a newer one, as a deliberate way back. `anchor` is the number of the release that
    cumulative margins were held against. `rollback` is a person's, whom no gate, anchor or hold is in the way.
    `sign_off` has the persons who signed, where the recipe asks for some. `acceptance` is what a device tests the file
    with before it runs it; without, devices refuse the bundle. `documents` are for people, by their names beside it.
    """

    verdict: Verdict
    file: Path
    candidate: Candidate
    description: str
    tags: Mapping[str, str]
    against: int | None
    back: bool = False
    anchor: int | None = None
    rollback: Rollback | None = None
    sign_off: SignOffs | None = None
    acceptance: Acceptance | None = None
    documents: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def holder(self) -> str:
        """The name under which its release number is claimed."""
        return self.candidate.holder if self.rollback is None else self.rollback.holder(self.candidate)

    @property
    def lineage(self) -> dict[str, str]:
        """The origin of its candidate, and the rollback that it is published by."""
        return asdict(self.candidate.lineage) | ({} if self.rollback is None else self.rollback.lineage)


def bundle_content(device: DeviceProfile, publication: Publication, scratch: Path) -> tuple[Manifest, dict[str, Path]]:
    """Return the manifest of a release that has no number yet, and its files by their names in it.

    Documents are written into `scratch`.

    Raises PublishError for a file that is not the one that was measured.
    """
    candidate, accepted = publication.candidate, publication.acceptance
    settings, origin = session_settings(device), candidate.lineage
    said = _described(publication) | _decided(publication)
    heads = heads_of(publication.file)
    model = load_model(publication.file, settings, heads)
    files = model_files(publication.file) | ({} if accepted is None else {GOLDEN: accepted.golden_file})
    documents = _written(publication, scratch)
    manifest = Manifest(
        model=origin.source_model,
        version=origin.source_version,
        device=device.name,
        entry=MODEL,
        blobs=blobs_of(files),
        heads=tuple(DeclaredHead(head.name, head_file(head.name), head.outputs) for head in heads),
        inputs=model.inputs,
        outputs=model.outputs,
        session=settings,
        onnxruntime=RuntimeRange.measured_with(candidate.onnxruntime),
        lineage=publication.lineage | said,
        golden=None if accepted is None else accepted.golden,
        spreads=() if accepted is None else accepted.spreads,
        measured=Measured() if accepted is None else accepted.measured,
        validity=_validity(device, publication),
        documents=blobs_of(documents),
    )
    digest = _model_digest(manifest)
    if digest != candidate.file_sha256:
        raise PublishError(
            f"{origin.source_model} version {origin.source_version}: expected the file that was measured, with the "
            f"sha256 {candidate.file_sha256}, got {digest}; compress the version again"
        )
    return manifest, files | documents


def _model_digest(manifest: Manifest) -> str:
    """Return the digest of the model that a manifest describes, by those of its blobs."""
    heads = ((head.name, manifest.blob(head.graph).sha256, head.outputs) for head in manifest.heads)
    return digest_with_heads(manifest.blob(manifest.entry).sha256, heads)


def numbered(manifest: Manifest, number: int) -> Manifest:
    """Return a manifest with its release number."""
    return replace(manifest, lineage={**manifest.lineage, RELEASE: str(number)})


def _written(publication: Publication, folder: Path) -> dict[str, Path]:
    for name, content in publication.documents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in publication.documents}


def _validity(device: DeviceProfile, publication: Publication) -> Validity:
    """Return the CPUs that the verdict holds for: the device's own, or any where the device's own never answered.

    A file that another instruction set answered for is published only where the recipe or a person has accepted that.
    Where nobody recorded what answered, nobody has.
    """
    answered = publication.tags.get(ANSWERS, NOT_RECORDED)
    proven = answered == device.instruction_set
    return Validity((device.instruction_set,) if proven else (), elsewhere=not proven and answered != NOT_RECORDED)


def _decided(publication: Publication) -> dict[str, str]:
    """Return the verdict, an approval, and the persons who signed, each `(claimed)` or `(by key)`."""
    signed = publication.sign_off
    return decision_of(publication.verdict) | ({} if signed is None else {"signed_off_by": signed.names})


def _described(publication: Publication) -> dict[str, str]:
    """Return the instruction set that answered and what the workload says of itself, as the registry has them too.

    A manifest holds plain text of one line. What is none is written as JSON; what is too long for one is left out.
    """
    said = {name: publication.tags.get(f"edgewright.{name}", "") for name in OF_WORKLOAD}
    plain = {name: text if is_plain_text(text) else json.dumps(text) for name, text in said.items() if text}
    fits = {name: text for name, text in plain.items() if is_plain_text(text)}
    return {"answers": publication.tags.get(ANSWERS, NOT_RECORDED), **fits}


def decision_of(verdict: Verdict) -> dict[str, str]:
    """Return the verdict as text, and its approval where it was overridden, under the manifest's keys."""
    if verdict.approval is None:
        return {"verdict": verdict.outcome, "verdict_sha256": verdict.sha256}
    approval = verdict.approval
    return {
        "verdict": verdict.outcome,
        "verdict_sha256": verdict.sha256,
        "approved_by": approval.name,
        "approval_reason": approval.reason,
        "approved_until": str(approval.until),
        "approved_verdict": approval.verdict_sha256,
    }
