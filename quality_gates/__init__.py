"""The decision: measurements and a policy in, a verdict and its report out. Knows no torch and no MLflow.

From the bottom up: `policy` has the words of gates, `evidence` the checked measurements, `statistics` the bounds,
`gates` the kinds of gates and the decision, `representativeness` the comparison with the deployment sites, `report` the
page for a release owner. `verdict` and `approval` are the records that leave this room.
"""

import edge_runtime  # noqa: F401 - before onnxruntime, whose telemetry it turns off
