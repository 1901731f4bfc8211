"""ONNX Runtime's packages and their versions, without loading them: who fetches updates has no other need of them.

Execution providers that are not built in are packages of their own beside ONNX Runtime, its plugins. Each is named
`onnxruntime_ep_NAME`, and has the functions `get_library_path()` and `get_ep_names()`.
"""

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path

PLUGIN = "onnxruntime_ep_"
_VERSION = re.compile(r"""^__version__ = ["']([^"']+)["']""", re.MULTILINE)


@cache
def onnxruntime_version() -> str:
    """Return the version of the ONNX Runtime that this process has, or would load.

    It is read out of the package itself, as several distributions bring that. Raises ImportError where none is there.
    """
    loaded = sys.modules.get("onnxruntime")
    spec = None if loaded is not None else importlib.util.find_spec("onnxruntime")
    if spec is not None and spec.origin is not None:
        found = _VERSION.search(Path(spec.origin).read_text(encoding="utf-8"))
        if found is not None:
            return found[1]
    import onnxruntime

    return str(onnxruntime.__version__)


def plugins() -> dict[str, str]:
    """Return the versions of the installed plugins by the names of their packages; empty where none is told."""
    import pkgutil

    names = sorted(each.name for each in pkgutil.iter_modules() if each.name.startswith(PLUGIN))
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
