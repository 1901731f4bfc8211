"""Token tables without the rows that the data never use; such a table is most of a text model's file.

Tokens keep their numbers outside the model. Inside, an index of the old length maps each token to its row of the
smaller table; tokens that were never seen share the row of the unknown token.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from model_compression.errors import PruningError
from model_compression.pruning.own_modules import program_of
from model_compression.training import Arrays

Trim = dict[str, Any]
"""A trim as JSON: the token `unknown`, and in `tables` the tokens that each table kept, in ascending order."""


class TrimmedTable(nn.Module):
    """A smaller embedding that takes the tokens of the larger one and is exact on tokens that were kept."""

    rows: Tensor

    def __init__(self, table: nn.Embedding, kept: Tensor, unknown: int) -> None:
        super().__init__()
        places = torch.full((table.num_embeddings,), int(torch.searchsorted(kept, unknown)), dtype=torch.int32)
        places[kept] = torch.arange(len(kept), dtype=torch.int32)
        self.register_buffer("rows", places)
        self.table = nn.Embedding.from_pretrained(
            table.weight.detach()[kept].clone(),
            freeze=not table.weight.requires_grad,
            padding_idx=None if table.padding_idx is None else int(places[table.padding_idx]),
            max_norm=table.max_norm,
            norm_type=table.norm_type,
            scale_grad_by_freq=table.scale_grad_by_freq,
            sparse=table.sparse,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Look up tokens of the larger table."""
        found: Tensor = self.table(self.rows[tokens])
        return found


def trim_vocabulary(
    model: nn.Module, example: tuple[Tensor, ...], inputs: Arrays, *, unknown: int, seen: int = 1
) -> Trim:
    """Cut every table that looks up a model input to the tokens in `inputs`, in place; returns the kept tokens.

    Tokens that occur fewer than `seen` times share the row of the token `unknown`; the rows of `unknown` and of padding
    stay. `example` has the inputs' form. Raises PruningError where there is no such table, where `unknown` is not one
    of its tokens, where every row is used, and where another operator or layer reads the table too.
    """
    tables = {}
    for path, index in _tables(model, example).items():
        table = _embedding(model, path)
        if not 0 <= unknown < table.num_embeddings:
            raise PruningError(
                f"expected the unknown token to be one of the {table.num_embeddings} of {path}, got {unknown}; correct "
                "`unknown` in the recipe"
            )
        kept = _kept(table, inputs[index], unknown, seen)
        if len(kept) < table.num_embeddings:
            _check_untied(model, path, program_of(model, example))
            tables[path] = kept
    if not tables:
        raise PruningError(
            "expected a table of tokens with rows that the training data do not use, found none that looks up an "
            "input of the model; remove `vocabulary` from the recipe"
        )
    trim = {"unknown": unknown, "tables": tables}
    replay_trim(model, trim)
    return trim


def replay_trim(model: nn.Module, trim: Trim) -> nn.Module:
    """Cut the same rows from a fresh copy of the same architecture, in place; returns the model.

    Raises AttributeError or ValueError where the record is another architecture's.
    """
    for path, kept in trim["tables"].items():
        table = _embedding(model, path)
        tokens = torch.tensor(sorted({*kept, trim["unknown"]}))
        if not 0 <= int(tokens[0]) <= int(tokens[-1]) < table.num_embeddings:
            raise ValueError(f"expected tokens below {table.num_embeddings} in {path}, got up to {int(tokens[-1])}")
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, TrimmedTable(table, tokens, trim["unknown"]))
    return model


def _tables(model: nn.Module, example: tuple[Tensor, ...]) -> dict[str, int]:
    """Find the embeddings that look up one input of the model and nothing else: path -> index of the input."""
    rows = tuple(tensor.clone() for tensor in example)
    memory = {tensor.untyped_storage().data_ptr(): index for index, tensor in enumerate(rows)}
    looked_up: dict[str, set[int | None]] = {}

    def note(path: str) -> Any:
        def hook(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            looked_up.setdefault(path, set()).add(memory.get(args[0].untyped_storage().data_ptr()))

        return hook

    embeddings = [(path, module) for path, module in model.named_modules() if isinstance(module, nn.Embedding)]
    hooks = [module.register_forward_pre_hook(note(path)) for path, module in embeddings]
    try:
        with torch.no_grad():
            model(*rows)
    finally:
        for hook in hooks:
            hook.remove()
    return {path: found.pop() for path, found in looked_up.items() if len(found) == 1 and None not in found}  # type: ignore[misc]


def _check_untied(model: nn.Module, path: str, program: fx.GraphModule) -> None:
    """Raise PruningError where something besides its lookups reads a table, as an output layer with tied weights."""
    weight = _embedding(model, path).weight
    readers = [f"the layer {name}" for name, module in model.named_modules()
               if name != path and any(each is weight for each in module.parameters(recurse=False))]  # fmt: skip
    read = [node for node in program.graph.find_nodes(op="get_attr") if node.target == f"{path}.weight"]
    readers += [f"the operator {user.name}" for node in read for user in node.users]
    if readers:
        raise PruningError(
            f"expected the table {path} to be read by its lookups alone, got {', '.join(readers)} reading it too (tied "
            "weights), which needs every row; remove `vocabulary` from the recipe"
        )


def _kept(table: nn.Embedding, tokens: np.ndarray, unknown: int, seen: int) -> list[int]:
    found, counts = np.unique(tokens, return_counts=True)
    always = {unknown} if table.padding_idx is None else {unknown, table.padding_idx}
    return sorted(always.union(found[counts >= seen].tolist()))


def _embedding(model: nn.Module, path: str) -> nn.Embedding:
    module = model.get_submodule(path)
    if not isinstance(module, nn.Embedding):
        raise ValueError(f"expected a table of tokens at {path}, got {type(module).__name__}")
    return module
