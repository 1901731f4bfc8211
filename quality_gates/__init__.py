"""The decision: measurements and a policy in, a verdict and its report out. Knows no torch and no MLflow."""
