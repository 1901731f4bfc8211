"""The part of Edgewright that ships to the device: bundles, sessions and measurement.

`bundle` reads and writes what is delivered, `session` runs a model with ONNX Runtime, and `measurement` takes a model's
figures in a process of its own. Nothing here needs more than numpy and onnxruntime. `python -m edge_runtime` verifies
a bundle and runs it once.

ONNX Runtime's wheels send telemetry and write a device id under the home folder from their import on. Importing this
package turns that off, so it must come before the first import of onnxruntime. Every other room imports it first.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # whatever it was: ONNX Runtime takes "0" for permission
