"""A new head for a backbone that was pruned with other heads: it loses what reads the features that went."""

import copy
from collections.abc import Sequence

from torch import Tensor, fx

from model_compression.errors import FamilyError, PruningError, cause_of
from model_compression.families.splitting import backbone_and_heads
from model_compression.pruning import History, replay

_REMEDY = "compress the family again, with this head in it"


def refitted_head(
    joined: fx.GraphModule,
    names: Sequence[str],
    name: str,
    example: tuple[Tensor, ...],
    removed: History,
    backbone: fx.GraphModule,
) -> fx.GraphModule:
    """Return the head of a member of a new version of a family, as it fits the pruned backbone of an earlier version.

    `joined` is the new version before any removal, `removed` what backbone_history() gives for the earlier one, and
    `backbone` that one's pruned backbone. The head has its own weights and reads the features that are left. Raises
    FamilyError where the new head cannot do without features that went, or where the backbones are not of one form.
    """
    try:
        smaller = replay(copy.deepcopy(joined), example, removed)
        replayed, heads = backbone_and_heads(smaller, names)  # type: ignore[arg-type]
    except (AttributeError, ValueError, RuntimeError, PruningError) as error:
        raise FamilyError(
            f"expected the new head of `{name}` to do without the features that the deployed backbone lost, got "
            f"{cause_of(error)}; {_REMEDY}"
        ) from error
    got, wanted = (_shapes(each) for each in (replayed, backbone))
    if got != wanted:
        other = next(path for path in [*wanted, *got] if got.get(path) != wanted.get(path))
        raise FamilyError(
            f"expected the new head of `{name}` to leave the deployed backbone as it is, got {got.get(other)} for its "
            f"`{other}` of {wanted.get(other)}; {_REMEDY}"
        )
    return heads[name]


def _shapes(model: fx.GraphModule) -> dict[str, list[int]]:
    return {path: list(weight.shape) for path, weight in model.named_parameters()}
