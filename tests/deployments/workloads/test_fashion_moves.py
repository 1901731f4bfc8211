"""Fashion-MNIST's augmentation; it needs no data."""

import torch
import torch.nn.functional as F

from deployments.workloads.fashion_mnist import SHIFT, moved


def test_every_image_is_its_original_moved_or_mirrored() -> None:
    images = torch.rand(8, 1, 12, 12)
    changed = moved(images, torch.Generator().manual_seed(0))
    for image, found in zip(F.pad(images, (SHIFT,) * 4), changed, strict=True):
        windows = image.unfold(1, 12, 1).unfold(2, 12, 1).flatten(0, 2)
        assert any(torch.equal(window, found[0]) or torch.equal(window.flip(1), found[0]) for window in windows)
