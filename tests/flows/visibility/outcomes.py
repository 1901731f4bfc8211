"""Outcomes of a version on two devices, as the flow returns them."""

from typing import Any

from tasks.outcomes import DeviceFailure, DeviceOutcome, Outcome

NONE = {"parent": None, "deployed": None, "candidate": None}


def line(device: str, *, published: bool, **changes: Any) -> DeviceOutcome:
    """The answer on one device."""
    content = {
        "model": "digits", "version": "3", "device": device, "verdict": "pass" if published else "fail",
        "published": published, "rung": "PTQ", "snapshot": "parent", "accuracy": NONE, "critical_slice": None,
        "figures": {"parent": None, "candidate": None}, "reasons": () if published else ("It lost 4 of 100 rows.",),
        "deployed_version": None, "run_id": f"run-{device}", "version_run_id": "v", "worst_gate": "accuracy",
    }  # fmt: skip
    return DeviceOutcome.model_validate(content | changes)


def outcome(*devices: DeviceOutcome, failures: tuple[DeviceFailure, ...] = (), **changes: Any) -> Outcome:
    """The answer on all devices."""
    content = {
        "model": "digits", "version": "3", "recipe": "digits", "recipe_digest": "d", "run_id": "v",
        "answer": Outcome.answer_of(devices, failures), "devices": devices, "failures": failures,
    }  # fmt: skip
    return Outcome.model_validate(content | changes)
