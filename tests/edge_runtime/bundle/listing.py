"""Bundles that lie in a folder, for tests that look at what was published."""

from pathlib import Path

from edge_runtime.bundle import Bundle, read_bundle


def manifests_in(root: Path, model: str = "*", device: str = "*") -> list[Path]:
    """Return the paths of all manifests of a model and a device, of every one unless they are named."""
    return sorted(root.glob(f"targets/{model}/{device}/*.manifest.json"))


def bundles_in(root: Path, model: str = "*", device: str = "*") -> list[Bundle]:
    """Read the bundles of a model and a device, of every one unless they are named; each must be whole."""
    return [read_bundle(path) for path in manifests_in(root, model, device)]
