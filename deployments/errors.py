"""What can be wrong with what people configure."""

from edge_runtime.errors import EdgewrightError


class ConfigurationError(EdgewrightError):
    """A recipe, a device profile or a workload is not usable as written."""
