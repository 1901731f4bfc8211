"""Names of the protocol for the types of tensors, and numpy's for the same."""

from collections.abc import Mapping

import numpy as np

from edge_runtime.errors import BadRequest

_DTYPES: Mapping[str, str] = {
    "BOOL": "bool",
    **{f"{sign.upper()}INT{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
}
_DATATYPES = {dtype: datatype for datatype, dtype in _DTYPES.items()}
ONLY_BINARY = "FP16"
"""The type that has no form in the protocol's JSON."""


def dtype_of(datatype: object, what: str) -> np.dtype:
    """Return numpy's little-endian dtype for the protocol's name of a type. Raises BadRequest; `what` names the tensor.

    BYTES and BF16 are types of the protocol, but no model here takes them.
    """
    name = _DTYPES.get(datatype) if isinstance(datatype, str) else None
    if name is None:
        raise BadRequest(f"{what}: expected a datatype of {', '.join(_DTYPES)}, got {shown(datatype)}.")
    return np.dtype(name).newbyteorder("<")


def datatype_of(dtype: str) -> str:
    """Return the protocol's name for numpy's name of a dtype."""
    return _DATATYPES[dtype]


def shown(value: object) -> str:
    """Return what a client sent for a message to it: short, on one line, and no more than the first characters."""
    text = ascii(value) if isinstance(value, str) else repr(value) if isinstance(value, (bool, int, float)) else ""
    return (f"{text[:60]}..." if len(text) > 60 else text) or f"a value of another kind ({type(value).__name__})"
