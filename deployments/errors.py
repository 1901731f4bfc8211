"""The error of configuration that is not usable as written."""

from edge_runtime.errors import EdgewrightError


class ConfigurationError(EdgewrightError):
    """Error in a recipe, a device profile or a workload; the message names file, key and remedy."""
