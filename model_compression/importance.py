"""How much each channel matters to the loss."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from model_compression.dependencies import READERS, Bundle
from model_compression.errors import TrainingError

Batch = tuple[tuple[Tensor, ...], Tensor]
LossFunction = Callable[[Tensor, Tensor], Tensor]
Scores = dict[str, Tensor]
"""Layer -> what the loss loses to first order by each of its inputs, shape (batches, input channels)."""


def taylor_scores(model: nn.Module, batches: Iterable[Batch], loss: LossFunction) -> Scores:
    """Take dLoss/dgate for a gate of one on each input channel of each layer, batch by batch.

    It equals the sum of weight x gradient over the weights that read the channel, so no gate is needed; on the
    reading side, because what a channel is worth is what its readers make of it, after batch norm and activation.
    Source: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, section 3.2.
    The model's mode is kept, its gradients are cleared. Raises TrainingError when there are no batches or a gradient
    is not finite.
    """
    rows: dict[str, list[Tensor]] = {}
    was_training = model.training
    model.eval()
    for inputs, targets in batches:
        model.zero_grad(set_to_none=True)
        loss(model(*inputs), targets).backward()
        for name, module in model.named_modules():
            if isinstance(module, READERS) and module.weight.grad is not None:
                product = module.weight.detach() * module.weight.grad
                rows.setdefault(name, []).append(by_input(module, product).sum((1, 3)).flatten())
    model.zero_grad(set_to_none=True)
    model.train(was_training)
    scores = {name: torch.stack(gates) for name, gates in rows.items()}
    _check(scores)
    return scores


def channel_scores(bundle: Bundle, scores: Mapping[str, Tensor]) -> Tensor | None:
    """Score the channels of a bundle: the squared first-order change of the loss when one is closed for all readers.

    Readers add up before the square, for they lose the channel together; squares are averaged over batches, so that
    gradients of opposite sign do not cancel between them (eq. 8 there). None where no layer reads the channels.
    """
    total: Tensor | None = None
    for reader in bundle.readers:
        if reader.layer in scores:
            gates = scores[reader.layer][:, reader.inputs]
            total = gates.new_zeros(len(gates), bundle.width) if total is None else total
            total.index_add_(1, torch.tensor(reader.channels), gates)
    return None if total is None else total.square().mean(0)


def by_input(layer: nn.Module, weight: Tensor) -> Tensor:
    """View a tensor of a layer's weight's shape as (groups, outputs per group, inputs per group, kernel)."""
    groups = int(getattr(layer, "groups", 1))
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        inputs, outputs = weight.shape[:2]
        return weight.view(groups, inputs // groups, outputs, -1).transpose(1, 2)
    outputs, inputs = weight.shape[:2]
    return weight.view(groups, outputs // groups, inputs, -1)


def _check(scores: Scores) -> None:
    if not scores:
        raise TrainingError("expected calibration rows to score channels with, got none; give the workload some")
    for layer, gates in scores.items():
        if not gates.isfinite().all():
            raise TrainingError(
                f"expected finite gradients on the calibration rows, got NaN or infinity in {layer}; look for such "
                "values in the calibration split and in the workload's loss"
            )
