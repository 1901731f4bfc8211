"""What a candidate is held against: the parent, and the edge model that is deployed now."""

from dataclasses import dataclass
from pathlib import Path

from deployments.device import DeviceProfile
from deployments.workload import SplitName
from quality_gates.evidence import Evidence, ModelEvidence
from tasks.compression import Baseline
from tasks.errors import RegistryError
from tasks.job import Job
from tasks.measurement import measure_for, measure_on
from tasks.registry import EdgeModels, EdgeVersion
from tasks.upstream import Parent


@dataclass(frozen=True)
class References:
    """The models to compare with on one device; `deployed` is None before the first deployment."""

    job: Job
    parent: Parent
    device: DeviceProfile
    parent_file: Path
    deployed: EdgeVersion | None
    deployed_file: Path | None
    deployed_failure: str | None

    def beside(self, candidate: ModelEvidence, split: SplitName) -> Evidence:
        """Lay a candidate's measurement beside those of its references on the same rows, measured by the same code.

        The parent, in float, answers on this machine, as upstream knows it; what is deployed answers as on the device.
        """
        parent = measure_on(self.job, self.parent, self.device, self.parent_file, split)
        return Evidence(candidate, parent, self._deployed(split), functions=self.job.functions)

    def _deployed(self, split: SplitName) -> ModelEvidence | None:
        if self.deployed is None:
            return None
        if self.deployed_file is None:
            return ModelEvidence(rows=None, resources=None, failure=self.deployed_failure)
        return measure_for(self.job, self.parent, self.device, self.deployed_file, split)


def references(job: Job, parent: Parent, baseline: Baseline, device: DeviceProfile) -> References:
    """Find what is deployed on a device class; where its file is damaged, the gates against it fail."""
    models = EdgeModels(job.workspace.tracking_uri, job.model)
    deployed = models.deployed(device.name)
    if deployed is not None and deployed.run_key == job.run_key:
        # A killed run had got as far as the alias: hold the candidate against the same model as then.
        deployed = models.previous(device.name)
    file, failure = None, None
    if deployed is not None:
        try:
            file = models.fetch(deployed)
        except RegistryError as error:
            failure = str(error)
    return References(job, parent, device, baseline.onnx, deployed, file, failure)
