"""The part of Edgewright that ships to the device: bundles, sessions and measurement.

`bundle` reads and writes what is delivered, `session` runs a model with ONNX Runtime, and `measurement` takes a model's
figures in a process of its own. Nothing here needs more than numpy and onnxruntime. `python -m edge_runtime` verifies
a bundle and runs it once.
"""
