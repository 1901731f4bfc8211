"""Thumbnails of image rows, small enough to live inside of the report."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quality_gates.errors import GateError

CHANNELS = (1, 3)


class ThumbnailError(GateError):
    """The row is no image that can be shown."""


def png_base64(array: NDArray[np.generic], size: int = 56, *, stretch: bool = True) -> str:
    """A base64 PNG of an image, its longer edge enlarged to about `size` pixels.

    Values are scaled from their least and largest to 0..255, unless they are bytes that are not to `stretch`.

    Takes HxW (grey), HxWxC or CxHxW with C of 1 or 3; enlarges by a whole factor without smoothing, so that every
    pixel stays a square, and shrinks an image that is larger than `size`. NaN and infinite pixels become black.
    Raises ThumbnailError on any other shape and on a size below 1.
    """
    if size < 1:
        raise ThumbnailError(f"Expected a thumbnail of at least 1 pixel, got size {size}: ask for a positive size.")
    channels = _channels_last(np.asarray(array))
    image = Image.fromarray(_to_bytes(channels) if stretch else channels.astype(np.uint8))
    longest = max(image.size)
    if longest > size:
        image.thumbnail((size, size))
    else:
        factor = max(size // longest, 1)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _channels_last(array: NDArray[np.generic]) -> NDArray[np.generic]:
    if 0 not in array.shape:
        if array.ndim == 2:
            return array
        if array.ndim == 3 and array.shape[2] in CHANNELS:
            return array[:, :, 0] if array.shape[2] == 1 else array
        if array.ndim == 3 and array.shape[0] in CHANNELS:
            return array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
    raise ThumbnailError(
        f"Expected an image of shape HxW, HxWxC or CxHxW with 1 or 3 channels, got {array.shape}: "
        "pass one row without its batch axis."
    )


def _to_bytes(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = image.astype(np.float64)
    known = np.isfinite(values)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
    span = high - low
    scaled = (values - low) / span * 255 if span > 0 else np.zeros_like(values)
    return np.where(known, scaled, 0.0).round().astype(np.uint8)
