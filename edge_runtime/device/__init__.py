"""The device's own programs: an update over the network, an install from a folder, the status, and the way back.

In comes the device's configuration, one TOML file; out go lines for people and exit codes for timers and scripts. Here
meet the carrier that brings bytes, the trust that checks them, and the install step that tries them: none of the three
knows the others.
"""

from edge_runtime.device.commands import Talk, run
from edge_runtime.device.mender import MODULE as MENDER_MODULE
from edge_runtime.device.mender import PAYLOAD as MENDER_PAYLOAD
from edge_runtime.device.programs import agent_of, install_carried, installed_models, roll_back_model, status_lines

__all__ = [
    "MENDER_MODULE",
    "MENDER_PAYLOAD",
    "Talk",
    "agent_of",
    "install_carried",
    "installed_models",
    "roll_back_model",
    "run",
    "status_lines",
]
