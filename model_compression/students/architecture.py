"""Architectures of students: a family, a width and a depth, built for one parent's inputs and outputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_runtime.errors import EdgewrightError
from model_compression.errors import StudentError, cause_of
from model_compression.students.networks import depthwise_cnn, signal_net, text_net
from model_compression.training import are_probabilities

Factory = Callable[["Interface", int, int], nn.Module]
"""A function that builds a network from (interface, width, depth)."""


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of a student: each input's shape without its rows and its kind, and the classes.

    `integers` tells which inputs are whole numbers. `vocabulary` is the number of different whole numbers that an input
    can have, None where there is none. `probabilities` says that the outputs are probabilities and no class scores.
    """

    shapes: tuple[tuple[int, ...], ...]
    integers: tuple[bool, ...]
    classes: int
    vocabulary: int | None
    probabilities: bool = False

    @classmethod
    def of(cls, parent: nn.Module, example: tuple[Tensor, ...]) -> "Interface":
        """Read the interface off a parent and its example inputs.

        Raises StudentError for a parent that is no classifier.
        """
        with torch.no_grad():
            outputs = parent.eval()(*example)
        if outputs.dim() != 2:
            raise StudentError(
                f"expected a parent whose outputs are class scores (rows, classes), got shape {list(outputs.shape)}; "
                "remove `distil` from the recipe, as students are made for outputs of this shape"
            )
        tables = [module.num_embeddings for module in parent.modules() if isinstance(module, nn.Embedding)]
        return cls(
            shapes=tuple(tuple(rows.shape[1:]) for rows in example),
            integers=tuple(not rows.is_floating_point() for rows in example),
            classes=outputs.shape[1],
            vocabulary=max(tables, default=None),
            probabilities=outputs.shape[1] > 1 and are_probabilities(outputs.numpy()),
        )


@dataclass(frozen=True)
class Architecture:
    """A family by its name, or a factory of the user's own, with a width and a depth."""

    family: str
    width: int
    depth: int

    def __str__(self) -> str:
        return f"{self.family} of width {self.width} and depth {self.depth}"


def _depthwise_cnn(interface: Interface, width: int, depth: int) -> nn.Module:
    channels, *size = _only_input(interface, "depthwise_cnn", 3, "images (channels, height, width)")
    return depthwise_cnn(channels, (size[0], size[1]), interface.classes, width, depth)


def _signal_net(interface: Interface, width: int, depth: int) -> nn.Module:
    wanted = "signals (channels, time) or rows of sensor values (values,)"
    shape = _only_input(interface, "signal_net", len(interface.shapes[0]), wanted)
    if len(shape) not in (1, 2):
        raise _other_input("signal_net", wanted, interface)
    channels, length = shape if len(shape) == 2 else (1, shape[0])
    return signal_net(channels, length, interface.classes, width, depth)


def _text_net(interface: Interface, width: int, depth: int) -> nn.Module:
    wanted = "token numbers (time,), and a mask of the same shape if there is one"
    fits = len(interface.shapes) in (1, 2) and all(len(shape) == 1 for shape in interface.shapes)
    if not fits or not interface.integers[0] or interface.vocabulary is None:
        raise _other_input("text_net", wanted, interface)
    return text_net(interface.vocabulary, interface.classes, width, depth)


FAMILIES: dict[str, Factory] = {"depthwise_cnn": _depthwise_cnn, "signal_net": _signal_net, "text_net": _text_net}
"""The families that come with Edgewright."""


def _like_the_parent(family: Factory) -> Factory:
    """Return a family whose networks end in a softmax where the parent's outputs are probabilities."""

    def make(interface: Interface, width: int, depth: int) -> nn.Module:
        network = family(interface, width, depth)
        return nn.Sequential(network, nn.Softmax(dim=1)) if interface.probabilities else network

    return make


def build_student(
    architecture: Architecture, interface: Interface, seed: int, factory: Factory | None = None
) -> nn.Module:
    """Build a student with fresh weights, the same for the same seed; `factory` replaces the family's own.

    Raises StudentError when the family does not take such inputs, or the network gives other outputs than the parent.
    """
    make = factory or _like_the_parent(FAMILIES[architecture.family])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = make(interface, architecture.width, architecture.depth)
        except EdgewrightError:
            raise
        except (Exception, SystemExit) as error:  # the user's code
            raise StudentError(
                f"expected {architecture} to be built, got {cause_of(error)}; correct the factory"
            ) from error
    _check_outputs(model, architecture, interface)
    return model


def _check_outputs(model: nn.Module, architecture: Architecture, interface: Interface) -> None:
    rows = tuple(
        torch.ones(2, *shape, dtype=torch.int64 if integer else torch.float32)
        for shape, integer in zip(interface.shapes, interface.integers, strict=True)
    )
    try:
        with torch.no_grad():
            outputs = model.eval()(*rows)
    except (Exception, SystemExit) as error:  # the user's code
        raise StudentError(
            f"expected {architecture} to take inputs of shapes {interface.shapes}, got {cause_of(error)}; correct the "
            "factory"
        ) from error
    if tuple(outputs.shape) != (2, interface.classes):
        raise StudentError(
            f"expected {architecture} to give {interface.classes} class scores a row, got shape {list(outputs.shape)} "
            "for two rows; correct the factory"
        )
    if interface.probabilities and not are_probabilities(outputs.numpy()):
        raise StudentError(
            f"expected {architecture} to give probabilities, as the parent does, got sums of "
            f"{[round(total, 3) for total in outputs.sum(dim=1).tolist()]} for two rows; end the network in a softmax"
        )


def _only_input(interface: Interface, family: str, dimensions: int, wanted: str) -> tuple[int, ...]:
    if len(interface.shapes) != 1 or interface.integers[0] or len(interface.shapes[0]) != dimensions:
        raise _other_input(family, wanted, interface)
    return interface.shapes[0]


def _other_input(family: str, wanted: str, interface: Interface) -> StudentError:
    kinds = ["whole numbers" if integer else "numbers" for integer in interface.integers]
    got = ", ".join(f"{kind} {list(shape)}" for kind, shape in zip(kinds, interface.shapes, strict=True))
    return StudentError(
        f"expected for the student family {family} one input of {wanted}, got {got}; choose another `family` or write "
        "a factory of your own"
    )


def widest(widths: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """Find the largest of ascending widths that fits, by bisection; None when not even the first fits.

    `fits` builds and measures a student. Where noise makes a wider one fit and a narrower one not, the answer is still
    one that was measured to fit.
    """
    best: int | None = None
    low, high = 0, len(widths) - 1
    while low <= high:
        middle = (low + high) // 2
        if fits(widths[middle]):
            best, low = widths[middle], middle + 1
        else:
            high = middle - 1
    return best
