"""States of Mender's update module `edgewright`: an artifact's payload is installed, and Mender's rollback goes back.

The payload is one tar archive of a carried folder. Mender's signature of the artifact counts for nothing here: the
metadata in the archive are verified as everywhere. After a power cut in any state, Mender asks for the rollback.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from edge_runtime.configuration import UpdateConfiguration
from edge_runtime.device.joined import store_of
from edge_runtime.device.programs import roll_back_model
from edge_runtime.errors import InstallError
from edge_runtime.files import open_regular, write_atomic
from edge_runtime.install import ModelState, statuses

MODULE = "edgewright"
"""The name of the update module, which is the type of its payloads."""
PAYLOAD = Path("files", "payload.tar")
"""The payload in the folder of an artifact, as `edgewright export --to mender` names it."""
BEFORE = Path("tmp", "before.json")
"""The file with what ran before the artifact, by model, in the folder that Mender keeps over a reboot."""
INSTALL, ROLLBACK = "ArtifactInstall", "ArtifactRollback"
_MOST_BYTES = 1 << 20


def remember(configuration: UpdateConfiguration, tree: Path) -> None:
    """Write down, durably and before any risk, what runs before the artifact in a tree."""
    running = {status.model: status.state.current for status in statuses(store_of(configuration))}
    before = dict.fromkeys(configuration.models) | running
    write_atomic(tree / BEFORE, (json.dumps(before) + "\n").encode())


def remembered(tree: Path) -> dict[str, str | None]:
    """Return what ran before the artifact in a tree; nothing where it was never begun.

    Raises InstallError for a file that cannot be read.
    """
    try:
        with open_regular(tree / BEFORE) as file:
            found = json.loads(file.read(_MOST_BYTES))
        if not isinstance(found, dict) or not all(each is None or isinstance(each, str) for each in found.values()):
            raise ValueError("no object with digests")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InstallError(
            f"{tree / BEFORE}: expected what ran before this artifact, got {error}; nothing is rolled back. See "
            "`python -m edge_runtime status`"
        ) from error
    return found


def go_back(configuration: UpdateConfiguration, before: Mapping[str, str | None]) -> list[str]:
    """Go back where the artifact has changed what runs; return the models. Their bundles may be installed again.

    Asked again, it changes nothing. Raises InstallError where what ran before is not the way back any more.
    """
    states = {status.model: status.state for status in statuses(store_of(configuration))}
    changed = {model: digest for model, digest in before.items() if states.get(model, ModelState()).current != digest}
    back = [model for model, digest in changed.items() if digest is not None and states[model].previous == digest]
    for model in back:
        roll_back_model(configuration, model, None)
    lost = sorted(changed.keys() - back)
    if lost:
        raise InstallError(
            f"{', '.join(lost)}: expected what ran before this artifact as the way back, got none; what runs now goes "
            "on running"
        )
    return back
