"""Documents beside a bundle: the bill of materials in CycloneDX, and the attestation of the version.

Devices need neither. The manifest names both by their sha256, so its signature holds for them too. The bytes are the
same for the same content: no time is in them, and names come from digests.
"""

from collections.abc import Iterator
from uuid import NAMESPACE_URL, UUID, uuid5

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType, Pedigree
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from quality_gates.report import Origin, ReportContent, attestation

BILL_OF_MATERIALS = "sbom.cdx.json"
ATTESTATION = "attestation.json"
RUNTIME_LIBRARIES = ("numpy", "onnxruntime")
"""Libraries that run the model on a device; all others only made it."""


def documents_of(content: ReportContent) -> dict[str, bytes]:
    """Return the documents of a judged candidate by their names; none for content of an older release."""
    statement, origin = attestation(content), content.origin
    if statement is None or origin is None:
        return {}
    return {BILL_OF_MATERIALS: bill_of_materials(content, origin), ATTESTATION: statement}


def bill_of_materials(content: ReportContent, origin: Origin) -> bytes:
    """Return a CycloneDX 1.6 document: the model and its files, the upstream model, its data, and libraries."""
    model = _model(content, origin)
    bom = Bom(components=_files(origin), serial_number=_serial(content))
    bom.metadata.component = model
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the same model has the same document
    others = [*_data(origin), *_libraries(origin.toolchain)]
    for each in others:
        bom.components.add(each)
    bom.register_dependency(model, [each for each in others if each.scope is not ComponentScope.EXCLUDED])
    return (JsonV1Dot6(bom).output_as_string(indent=2) + "\n").encode()


def _model(content: ReportContent, origin: Origin) -> Component:
    upstream = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL, name=content.model, version=content.version, bom_ref="upstream"
    )
    said = {"recipe": origin.recipe, "recipe_sha256": origin.recipe_sha256, "verdict_sha256": content.verdict.sha256}
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=f"{content.model}-{content.device}",
        version=content.version,
        bom_ref="model",
        description=origin.purpose or None,
        hashes=[_sha256(origin.files[0].sha256)],
        pedigree=Pedigree(ancestors=[upstream]),
        properties=[Property(name=f"edgewright:{name}", value=text) for name, text in said.items()],
    )


def _files(origin: Origin) -> Iterator[Component]:
    for file in origin.files:
        yield Component(
            type=ComponentType.FILE, name=file.name, bom_ref=f"file:{file.sha256}", hashes=[_sha256(file.sha256)]
        )


def _data(origin: Origin) -> Iterator[Component]:
    for split in origin.splits:
        yield Component(
            type=ComponentType.DATA, name=f"{split.name} split", bom_ref=f"data:{split.name}",
            hashes=[_sha256(split.sha256)], scope=ComponentScope.EXCLUDED,
        )  # fmt: skip


def _libraries(toolchain: tuple[tuple[str, str], ...]) -> Iterator[Component]:
    for name, version in toolchain:
        runs = name in RUNTIME_LIBRARIES
        yield Component(
            type=ComponentType.LIBRARY, name=name, version=version, bom_ref=f"pypi:{name}",
            purl=PackageURL("pypi", None, name, version),
            scope=ComponentScope.REQUIRED if runs else ComponentScope.EXCLUDED,
        )  # fmt: skip


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _serial(content: ReportContent) -> UUID:
    return uuid5(NAMESPACE_URL, f"edgewright:{content.device}:{content.verdict.sha256}")
