"""Installing on a device: a bundle is brought into its store, tried within limits, and runs after one atomic step.

In comes a manifest that `edge_runtime.trust` has verified, and a `Source` that has its blobs; out goes `Installed`, or
an InstallError after which everything runs as before. A `DeviceStore` keeps the current bundle and the one before it.
`running` returns what to run, every byte verified; `roll_back` is the one way down; `statuses` is for people. A process
that serves asks `state_stamp` and `current_digest` often. The tuned graph is made here, for this very CPU. A shadow is
installed in the same way, and stays beside the current bundle until `end_shadow`, or until it is installed.
"""

from edge_runtime.install.choices import FailedChoice, HowItRuns, MeasuredChoice
from edge_runtime.install.installer import (
    Installed,
    InstallSettings,
    check_permitted,
    end_shadow,
    install,
    install_shadow,
    installed_digest,
)
from edge_runtime.install.running_models import (
    ModelStatus,
    RunningModel,
    current_digest,
    roll_back,
    running,
    running_shadow,
    shadow_choice,
    state_stamp,
    statuses,
)
from edge_runtime.install.shadow_terms import ShadowBudget, needed_mb, shadow_misfit
from edge_runtime.install.smoke_test import Limits
from edge_runtime.install.sources import FolderSource, Source
from edge_runtime.install.state import ModelState, ShadowChoice
from edge_runtime.install.store import DeviceStore
from edge_runtime.install.tuning import Tuning, how_it_runs, portable

__all__ = [
    "DeviceStore",
    "FailedChoice",
    "FolderSource",
    "HowItRuns",
    "InstallSettings",
    "Installed",
    "Limits",
    "MeasuredChoice",
    "ModelState",
    "ModelStatus",
    "RunningModel",
    "ShadowBudget",
    "ShadowChoice",
    "Source",
    "Tuning",
    "check_permitted",
    "current_digest",
    "end_shadow",
    "how_it_runs",
    "install",
    "install_shadow",
    "installed_digest",
    "needed_mb",
    "portable",
    "roll_back",
    "running",
    "running_shadow",
    "shadow_choice",
    "shadow_misfit",
    "state_stamp",
    "statuses",
]
