"""Algorithms that make a model smaller and faster, in pure torch and ONNX.

`intake` turns a registered program into a model that can be pruned and trained. `pruning` makes it smaller, `students`
builds small networks that learn from it, `training` fine-tunes either one, `quantization` makes files with fewer bits a
number, and `onnx_files` writes and reads the files that ship. `families` joins models that share a backbone into one.
All arguments are flat: no recipe, no configuration object and no store is known here. `errors` holds the errors of all
of them.
"""

import edge_runtime  # noqa: F401 - before onnxruntime, whose telemetry it turns off
