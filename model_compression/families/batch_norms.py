"""Batch norms that take their statistics from the batch, so that a row's answer depends on the rows beside it."""

from torch.export import ExportedProgram

from model_compression.intake import arguments, live_nodes, operator_name, origin, output_nodes

BATCH_NORMS = ("batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_functional")


def batch_statistics(program: ExportedProgram) -> tuple[str, ...]:
    """Return the batch norms of a program that use the statistics of the batch and not their own.

    They do where the program was exported in training mode, and where they keep no running statistics.
    """
    live = live_nodes(program.graph, output_nodes(program))
    norms = [node for node in program.graph.nodes if node in live and operator_name(node) in BATCH_NORMS]
    found = [node for node in norms if _uses_the_batch(arguments(node))]
    return tuple(dict.fromkeys(origin(node)[0] or node.name for node in found))


def _uses_the_batch(args: dict[str, object]) -> bool:
    return bool(args.get("training", False)) or args.get("running_mean") is None
