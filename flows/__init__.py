"""Flows: the order in which the tasks run, and the command line that starts them.

In comes a model's name, a version and a recipe, from a person, a schedule or the registry; out go the outcomes.
"""

import edge_runtime  # noqa: F401 - before onnxruntime, whose telemetry it turns off
