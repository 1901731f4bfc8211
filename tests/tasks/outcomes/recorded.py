"""An outcome of a device as this release records it."""

from typing import Any

NONE = {"parent": None, "deployed": None, "candidate": None}
NEW: dict[str, Any] = {
    "model": "m", "version": "2", "device": "bench", "verdict": "fail", "published": False, "rung": "PTQ",
    "snapshot": "parent", "accuracy": NONE, "critical_slice": None, "figures": {"parent": None, "candidate": None},
    "reasons": ("It lost.",), "deployed_version": None, "run_id": "i", "version_run_id": "v",
}  # fmt: skip
