"""Thumbnails decode to the pixels that went in."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from quality_gates.report import ThumbnailError, png_base64


def decoded(array: np.ndarray, size: int = 56) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(png_base64(array, size), validate=True)))


def test_a_grey_image_is_scaled_to_the_full_range_and_enlarged_in_squares() -> None:
    array = np.arange(64, dtype=float).reshape(8, 8) - 20
    image = decoded(array)
    pixels = np.asarray(image)
    assert (image.format, image.mode, image.size) == ("PNG", "L", (56, 56))
    assert pixels[0, 0] == 0 and pixels[-1, -1] == 255
    assert (pixels.reshape(8, 7, 8, 7) == pixels[::7, ::7][:, None, :, None]).all()


@pytest.mark.parametrize("shape", [(8, 8, 3), (3, 8, 8)])
def test_colour_with_channels_first_or_last(shape: tuple[int, ...]) -> None:
    array = np.zeros(shape)
    red = array[..., 0] if shape[-1] == 3 else array[0]
    red += 1.0
    image = decoded(array)
    assert image.mode == "RGB"
    assert image.getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 8, 8)])
def test_one_channel_is_grey(shape: tuple[int, ...]) -> None:
    assert decoded(np.random.default_rng(0).normal(size=shape)).mode == "L"


def test_a_large_image_is_shrunk_and_keeps_its_shape() -> None:
    assert decoded(np.random.default_rng(0).normal(size=(100, 200))).size == (56, 28)


def test_a_size_that_is_no_multiple_is_rounded_down() -> None:
    assert decoded(np.eye(28), size=70).size == (56, 56)


def test_a_flat_image_and_a_broken_pixel_are_black() -> None:
    assert np.asarray(decoded(np.full((4, 4), 7.0))).max() == 0
    broken = np.array([[np.nan, 1.0], [np.inf, 3.0]])
    pixels = np.asarray(decoded(broken, size=2))
    assert pixels.tolist() == [[0, 0], [0, 255]]


@pytest.mark.parametrize("shape", [(8,), (8, 8, 2), (1, 3, 8, 8), (0, 8), (8, 0, 3)])
def test_what_is_no_image_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ThumbnailError, match="pass one row") as caught:
        png_base64(np.zeros(shape))
    assert str(shape) in str(caught.value)


def test_a_size_below_one_pixel_is_refused() -> None:
    with pytest.raises(ThumbnailError, match="got size 0"):
        png_base64(np.eye(4), size=0)
