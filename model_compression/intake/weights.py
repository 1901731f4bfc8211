"""A program's weights, loaded strictly by name into a model that its team's own code built."""

from torch import nn
from torch.export import ExportedProgram

from model_compression.errors import IntakeError

_SHOWN = 5


def load_into(program: ExportedProgram, module: nn.Module) -> nn.Module:
    """Load the program's parameters and persistent buffers into `module`, in place; returns it.

    Raises IntakeError that lists names that are missing or unexpected and shapes that differ.
    """
    given = program.state_dict
    wanted = module.state_dict()
    problems = [
        *_problem("the program lacks", sorted(wanted.keys() - given.keys())),
        *_problem("the module lacks", sorted(given.keys() - wanted.keys())),
        *_problem(
            "other shapes",
            [
                f"{name} {list(given[name].shape)} in the program, {list(wanted[name].shape)} in the module"
                for name in sorted(given.keys() & wanted.keys())
                if given[name].shape != wanted[name].shape
            ],
        ),
    ]
    if problems:
        raise IntakeError(
            f"expected build_model() to return the architecture of the registered program, got: {'; '.join(problems)}. "
            "Return the same layers under the same attribute names"
        )
    module.load_state_dict(given, strict=True)
    return module


def _problem(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{what} {', '.join(names[:_SHOWN])}{more}"]
