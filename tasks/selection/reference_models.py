"""Reference models: the parent and the edge model that is deployed now, which a candidate is held against."""

from dataclasses import dataclass
from pathlib import Path

from deployments.workload import SplitName
from quality_gates.evidence import Evidence, ModelEvidence
from tasks.compression import Baseline
from tasks.errors import RegistryError
from tasks.measurement import measure_for, measure_on
from tasks.registry import EdgeVersion
from tasks.upstream import DeviceContext


@dataclass(frozen=True)
class References:
    """The models to compare with on one device; `deployed` is None before the first deployment."""

    context: DeviceContext
    parent_file: Path
    deployed: EdgeVersion | None
    deployed_file: Path | None
    deployed_failure: str | None

    def beside(self, candidate: ModelEvidence, split: SplitName) -> Evidence:
        """Lay a candidate's measurement beside those of its references on the same rows, measured by the same code.

        The parent, in float, answers on this machine, as upstream knows it; what is deployed answers as on the device.
        """
        parent = measure_on(self.context, self.parent_file, split)
        return Evidence(candidate, parent, self._deployed(split), functions=self.context.job.functions)

    def _deployed(self, split: SplitName) -> ModelEvidence | None:
        if self.deployed is None:
            return None
        if self.deployed_file is None:
            return ModelEvidence(rows=None, resources=None, failure=self.deployed_failure)
        return measure_for(self.context, self.deployed_file, split)


def references(context: DeviceContext, baseline: Baseline) -> References:
    """Find what is deployed on a device class; where its file is damaged, the gates against it fail."""
    models, device = context.edge_models, context.device.name
    deployed = models.deployed(device)
    if deployed is not None and deployed.run_key == context.job.run_key:
        # A killed run had got as far as the alias: hold the candidate against the same model as then.
        deployed = models.previous(device)
    file, failure = None, None
    if deployed is not None:
        try:
            file = models.fetch(deployed)
        except RegistryError as error:
            failure = str(error)
    return References(context, baseline.onnx, deployed, file, failure)
