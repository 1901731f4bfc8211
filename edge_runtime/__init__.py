"""The part of Edgewright that ships to the device: bundles, sessions and measurement.

`bundle` reads and writes what is delivered, `session` runs a model with ONNX Runtime, and `measurement` takes a model's
figures in a process of its own; `cpu` names this machine's instruction set. Nothing here needs more than numpy and
onnxruntime. `python -m edge_runtime` verifies a bundle and runs it once. `make runtime-wheel` packs this folder alone.

ONNX Runtime's wheels send telemetry and write a device id under the home folder from their import on. Importing this
package turns that off, so it must come before the first import of onnxruntime. Every other room imports it first.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    """The version that is installed: of the runtime's wheel on a device, of the whole project where models are made."""

UNKNOWN = "0+unknown"
"""The version of a copy of this folder that nothing installed."""

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # whatever it was: ONNX Runtime takes "0" for permission


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: the modules that this loads are memory that no measurement needs."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata

    for package in ("edgewright-runtime", "edgewright"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return UNKNOWN
