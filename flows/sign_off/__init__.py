"""Sign-off by people: the command and the Prefect form by which a person lets a waiting version be published.

In come a version or a run, a name, a reason and perhaps a key; out goes the device's outcome. Both ways call the same
function, and what they record is kept with the run in MLflow, so that nothing of it lives in Prefect's database.
"""

from flows.sign_off.sign_off_command import sign_off_command, sign_off_key_command

__all__ = ["sign_off_command", "sign_off_key_command"]
