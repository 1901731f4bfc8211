"""Services: what runs always, so that a registered version is answered by itself.

One table says each service with its command, settings, secrets, dependencies and health. `edgewright up` runs them all
on one machine under a supervisor; `edgewright units` writes them for systemd; a test holds docker/compose.yaml to it.
In come a home, ports and recipes; out go running processes and their states.
"""

from flows.services.service_commands import down_command, status_command, units_command, up_command

__all__ = ["down_command", "status_command", "units_command", "up_command"]
