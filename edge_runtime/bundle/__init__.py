"""Bundles: the immutable folders in which models are delivered to devices.

A bundle is `<target>/<model>/<device>/<digest>/`: `manifest.json`, whose sha256 names the folder, and `blobs/<sha256>`.
`write_bundle` takes files and their description and returns that folder; a reader never sees a part of it.
`verify_bundle` takes a folder, verifies every byte and returns a `Bundle` with its `Manifest`. `read_bundle` also
checks that the ONNX Runtime of this process may run it. No link, FIFO or device is read, and texts, sizes and threads
have bounds, because the folder may be another's. A graph names its large weights by their sha256, as blobs are named,
so it finds them beside it. Neither numpy nor onnxruntime is needed to write and to verify.
"""

from edge_runtime.bundle.manifest import APPROVAL, Manifest, RuntimeRange, decode_manifest
from edge_runtime.bundle.reader import Bundle, read_bundle, read_manifest, verify_bundle
from edge_runtime.bundle.writer import write_bundle
from edge_runtime.errors import BundleError
from edge_runtime.settings import TensorSpec

__all__ = [
    "APPROVAL",
    "Bundle",
    "BundleError",
    "Manifest",
    "RuntimeRange",
    "TensorSpec",
    "decode_manifest",
    "read_bundle",
    "read_manifest",
    "verify_bundle",
    "write_bundle",
]
