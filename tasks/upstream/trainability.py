"""What an upstream that is only an ONNX file is not put through, and the words for it."""

from deployments.device import DeviceProfile
from deployments.recipe import Rung
from tasks.errors import PreflightError
from tasks.job import Job
from tasks.upstream.parents import OnnxParent, Parent

UNTRAINABLE = "this version is an ONNX file, which has no modules and no gradients to prune or to train by"
REMEDY = "for that, register the torch model with mlflow.pytorch.log_model"


def rungs_for(job: Job, parent: Parent, device: DeviceProfile) -> list[Rung]:
    """The recipe's rungs for a device, without those that train where the parent cannot be trained."""
    rungs = job.recipe.rungs(device)
    return [rung for rung in rungs if not rung.trains] if isinstance(parent, OnnxParent) else rungs


def check_rungs(job: Job, parent: Parent) -> None:
    """Raise PreflightError where a device is left without a rung."""
    for device in job.recipe.devices:
        if not rungs_for(job, parent, device):
            trains = ", ".join(rung.title for rung in job.recipe.rungs(device))
            raise PreflightError(
                f"recipe `{job.recipe.name}`: key `ladder`: expected a rung that trains nothing for {device.name}, as "
                f"model `{job.model}` version {job.version} is an ONNX file, got {trains} alone; add `ptq` or another "
                "such rung, or register the torch model with mlflow.pytorch.log_model"
            )


def not_done(job: Job, parent: Parent, device: DeviceProfile) -> tuple[str, ...]:
    """What of the recipe was left out on a device, and why, in sentences; nothing for a parent that can be trained."""
    if not isinstance(parent, OnnxParent):
        return ()
    titles = [rung.title for rung in job.recipe.rungs(device) if rung.trains]
    left_out = [
        "Nothing was pruned",
        *([] if job.recipe.distil is None else ["no student was taught"]),
        *([f"{' and '.join(titles)} {'were' if len(titles) > 1 else 'was'} not tried"] if titles else []),
    ]
    return (f"{_listed(left_out)}: {UNTRAINABLE}; {REMEDY}.",)


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
