"""Steps of the flow, a folder each: checks, compression, measurement, selection, reports and delivery.

In comes a model's name, a version and a recipe; out go bundles at a destination and records in the registry. A step
prepares inputs, caches, logs and retries, and calls the room below that does the work.
"""

import edge_runtime  # noqa: F401 - before onnxruntime, whose telemetry it turns off
