"""Configuration: recipes, device profiles and workloads, and the models that read them.

In come YAML files and the user's Python classes. Out go frozen models that are valid as a whole, or a
ConfigurationError of one sentence that names file, key and remedy. Other rooms and users' code import from these
modules:

- `recipe`: Recipe, read_recipe, and the techniques in `techniques` (Prune, Distil, Search, the union Rung)
- `device`: DeviceProfile, read_device; `instruction_sets`: the CPUs that can be emulated
- `workload`: Workload, Split, DeploymentSample, load_workload, read_splits, read_sample
- `custom_metrics`: load_custom_metrics; `reference`: schema, page; `errors`: ConfigurationError

They are not gathered here: `workload` loads torch, which takes seconds that `edgewright devices` does not need.
`recipes/` and `devices/` have the shipped YAML files, `workloads/` the shipped workloads, prefect.yaml the deployments
on a Prefect server.
"""

import edge_runtime  # noqa: F401 - before onnxruntime, whose telemetry it turns off
