"""Says which node cannot be rebuilt, where it came from, and what to do."""

from collections.abc import Iterable

from torch import fx

from model_compression.errors import RebuildError
from model_compression.intake.holdings import Holding
from model_compression.intake.nodes import origin

_REMEDY = (
    "give the workload a build_model() that returns the same architecture; "
    "the program's weights will be loaded into it strictly by name"
)


def not_rebuilt(node: fx.Node, why: str, held: Iterable[Holding] = ()) -> RebuildError:
    """The error for one node. `held` are the parameters that it takes."""
    names = ", ".join(str(holding) for holding in held)
    took = f", which takes {names}" if names else ""
    return RebuildError(
        f"expected a program of known layers and operators, got {_described(node)}{took}: {why}; {_REMEDY}"
    )


def shared(holding: Holding, node: fx.Node, other: fx.Node) -> RebuildError:
    """The error for a tensor that two different layers use."""
    return RebuildError(
        f"expected every weight to belong to one layer, but {holding} is shared between {_described(other)} "
        f"and {_described(node)}: only one layer called twice with the same weights can stay shared; {_REMEDY}"
    )


def _described(node: fx.Node) -> str:
    path, kind = origin(node)
    place = f" of module '{path}' ({kind.rpartition('.')[2]})" if path else " of the model itself"
    return f"node '{node.name}' ({node.target}){place}"
