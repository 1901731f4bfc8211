"""The error tree of what runs on the device; every other room's errors share its root."""


class EdgewrightError(Exception):
    """Says what was expected, what was got, and what to do."""


class BundleError(EdgewrightError):
    """A bundle that cannot be written, or that must not be trusted."""


class SessionError(EdgewrightError):
    """A model that does not load, or that was fed what it does not take."""


class SessionMemoryError(SessionError):
    """ONNX Runtime could not get the memory that it asked for."""


class MeasurementFailed(EdgewrightError):  # noqa: N818 - it names an outcome, as a verdict does
    """A measurement that gave no figures; never a pass."""
