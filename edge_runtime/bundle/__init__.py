"""Bundles: the immutable descriptions and files in which models are delivered to devices.

A folder of bundles has `targets/MODEL/DEVICE/SHA256.manifest.json`, one for each bundle, and `blobs/SHA256`, which
bundles share. The pipeline's destination, a folder that is carried to a device, and the device's own store are such
folders. `write_bundle` takes a manifest and files and returns the manifest's path; a reader never sees a part of it.
`verify_bundle` takes that path, verifies every byte and returns a `Bundle` with its `Manifest`. `read_bundle` also
checks that the ONNX Runtime of this process may run it. No link, FIFO or device is read, and texts, sizes and threads
have bounds, because the folder may be another's. A graph names its large weights by their sha256, as blobs are named,
so it finds them beside it. A bundle may have heads, graphs of their own that read what its entry gives. Neither numpy
nor onnxruntime is needed to write and to verify.
"""

from edge_runtime.bundle.encoding import MAX_BYTES, decode_manifest, digest_of, encode_manifest
from edge_runtime.bundle.manifest import APPROVAL, LEAST_RUNTIME, OVERRIDDEN, PASSED, Manifest
from edge_runtime.bundle.parts import (
    QUANTILES,
    Blob,
    DeclaredHead,
    Delta,
    Golden,
    Measured,
    RuntimeRange,
    Spread,
    Validity,
)
from edge_runtime.bundle.reader import (
    BLOBS,
    TARGETS,
    Bundle,
    check_blob,
    check_runs_here,
    identify_bundle,
    manifest_path,
    manifests_of,
    read_bundle,
    verify_bundle,
)
from edge_runtime.bundle.writer import blobs_of, only_writer, put_blob, write_bundle
from edge_runtime.errors import BundleError
from edge_runtime.settings import TensorSpec

__all__ = [
    "APPROVAL",
    "BLOBS",
    "LEAST_RUNTIME",
    "MAX_BYTES",
    "OVERRIDDEN",
    "PASSED",
    "QUANTILES",
    "TARGETS",
    "Blob",
    "Bundle",
    "BundleError",
    "DeclaredHead",
    "Delta",
    "Golden",
    "Manifest",
    "Measured",
    "RuntimeRange",
    "Spread",
    "TensorSpec",
    "Validity",
    "blobs_of",
    "check_blob",
    "check_runs_here",
    "decode_manifest",
    "digest_of",
    "encode_manifest",
    "identify_bundle",
    "manifest_path",
    "manifests_of",
    "only_writer",
    "put_blob",
    "read_bundle",
    "verify_bundle",
    "write_bundle",
]
