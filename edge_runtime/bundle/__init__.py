"""An immutable bundle: `manifest.json` and `blobs/<sha256>`, in a folder named by the manifest's sha256.

The path is `<target>/<model>/<device>/<digest>/`. A graph is one file: the name of a blob is its sha256, so a graph
would not find external data beside it.
"""

from edge_runtime.bundle.codec import decode_manifest
from edge_runtime.bundle.manifest import APPROVAL, Manifest, TensorSpec
from edge_runtime.bundle.reader import Bundle, read_bundle
from edge_runtime.bundle.writer import write_bundle
from edge_runtime.errors import BundleError

__all__ = [
    "APPROVAL",
    "Bundle",
    "BundleError",
    "Manifest",
    "TensorSpec",
    "decode_manifest",
    "read_bundle",
    "write_bundle",
]
