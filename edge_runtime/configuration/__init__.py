"""The device's configuration: one TOML file, which the programs of a device share.

`read_configuration` takes the file's path and returns an `UpdateConfiguration`, or raises BadConfiguration with
the key, what was expected and what was got. `EXAMPLE` shows every key. Reading it loads no package of updates.
"""

from edge_runtime.configuration.device_configuration import (
    CONFIGURATION,
    EXAMPLE,
    MaintenanceWindow,
    ReportSettings,
    TrialLimits,
    TuningChoices,
    UpdateConfiguration,
    parse_configuration,
    read_configuration,
)
from edge_runtime.configuration.network_settings import NetworkSettings
from edge_runtime.errors import BadConfiguration

__all__ = [
    "CONFIGURATION",
    "EXAMPLE",
    "BadConfiguration",
    "MaintenanceWindow",
    "NetworkSettings",
    "ReportSettings",
    "TrialLimits",
    "TuningChoices",
    "UpdateConfiguration",
    "parse_configuration",
    "read_configuration",
]
