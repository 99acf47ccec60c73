from pathlib import Path

import cv2
import numpy as np
import pytest

from kinema.compat.parts import images
from kinema.errors import KinemaError


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_the_guides_resize_keeps_the_shape_with_an_infinite_long_side(picture: np.ndarray) -> None:
    assert images.rescale_size((340, 256), (np.inf, 224)) == (298, 224)
    assert images.rescale_size((8, 6), 0.5, return_scale=True) == ((4, 3), 0.5)
    assert images.rescale_size((8, 6), (4, 4), return_scale=True) == ((4, 3), 0.5)
    resized = images.imresize(picture, (4, 3))
    assert np.array_equal(resized, cv2.resize(picture, (4, 3)))
    again, across, down = images.imresize(picture, (4, 3), return_scale=True, interpolation="nearest")
    assert again.shape == (3, 4, 3)
    assert (across, down) == (0.5, 0.5)
    smaller, factor = images.imrescale(picture, (4, 4), return_scale=True)
    assert factor == 0.5
    assert np.array_equal(smaller, resized)
    assert np.array_equal(images.imrescale(picture, (4, 4)), resized)


def test_unknown_values_are_refused_with_those_there_are(picture: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="backend must be None or 'cv2', got 'pillow'"):
        images.imresize(picture, (4, 3), backend="pillow")
    with pytest.raises(ValueError, match=r"interpolation must be one of nearest, .*, got 'cubic'"):
        images.imresize(picture, (4, 3), interpolation="cubic")
    with pytest.raises(ValueError, match=r"flag must be one of color, .*, got 'colour'"):
        images.imfrombytes(b"", flag="colour")
    with pytest.raises(ValueError, match="channel_order must be one of bgr, rgb, got 'gbr'"):
        images.imfrombytes(b"", channel_order="gbr")
    with pytest.raises(ValueError, match="direction must be one of horizontal, vertical, diagonal, got 'left'"):
        images.imflip(picture, "left")


def test_an_image_is_read_back_in_the_order_asked(picture: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "new" / "picture.png"
    assert images.imwrite(picture, file)
    assert np.array_equal(images.imread(file), picture)
    assert np.array_equal(images.imread(str(file), channel_order="rgb"), picture[..., ::-1])
    assert images.imread(file, flag="grayscale").shape == (6, 8)
    assert images.imread(picture) is picture


def test_what_is_no_image_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    for content in (b"", b"no image"):
        (tmp_path / "a.jpg").write_bytes(content)
        with pytest.raises(KinemaError, match=r"a\.jpg is no image that OpenCV can read"):
            images.imread(tmp_path / "a.jpg")
    with pytest.raises(KinemaError, match="these bytes are no image that OpenCV can read"):
        images.imfrombytes(b"no image")
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        images.imread(tmp_path / "missing.jpg")


def test_normalising_equals_its_definition_and_can_be_undone(picture: np.ndarray) -> None:
    mean, std = np.array([1.0, 2.0, 3.0]), [4.0, 5.0, 8.0]
    expected = (picture[..., ::-1].astype(np.float64) - mean) / std
    normalised = images.imnormalize(picture, mean, std)
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised, expected, rtol=1e-6)
    np.testing.assert_allclose(images.imdenormalize(normalised, mean, std), picture, atol=1e-4)
    in_place = picture.astype(np.float32)
    assert images.imnormalize_(in_place, mean, std, to_rgb=False) is in_place
    np.testing.assert_allclose(in_place, (picture - mean) / std, rtol=1e-6)
    with pytest.raises(TypeError, match="must be of a floating-point type, got uint8"):
        images.imnormalize_(picture, mean, std)


def test_colours_change_as_their_names_say(picture: np.ndarray) -> None:
    assert np.array_equal(images.bgr2rgb(picture), picture[..., ::-1])
    assert np.array_equal(images.rgb2bgr(picture), picture[..., ::-1])
    assert np.array_equal(images.iminvert(picture), 255 - picture)
    assert np.array_equal(images.imconvert(picture, "bgr", "hsv"), cv2.cvtColor(picture, cv2.COLOR_BGR2HSV))
    gray = images.bgr2gray(picture, keepdim=True)
    assert gray.shape == (6, 8, 1)
    assert np.array_equal(gray[..., 0], images.rgb2gray(picture[..., ::-1].copy()))
    assert np.array_equal(images.gray2bgr(gray), np.repeat(gray, 3, axis=2))
    assert np.array_equal(images.gray2rgb(gray), np.repeat(gray, 3, axis=2))
    assert np.array_equal(images.imflip(picture), picture[:, ::-1])
    assert np.array_equal(images.imflip(picture, "diagonal"), picture[::-1, ::-1])


def test_an_image_is_mirrored_in_place(picture: np.ndarray) -> None:
    mirrored = picture[::-1, ::-1].copy()
    assert images.imflip_(picture, "diagonal") is picture
    assert np.array_equal(picture, mirrored)


def test_a_border_is_put_around(picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    grown = images.impad(picture, shape=(height + 1, width + 2), pad_val=(1, 2, 3))
    assert np.array_equal(grown[:height, :width], picture)
    assert grown[-1, -1].tolist() == [1, 2, 3]
    for padding, sides in ((2, (2, 2, 2, 2)), ((1, 2), (1, 2, 1, 2)), ((1, 2, 3, 4), (1, 2, 3, 4))):
        left, above, right, below = sides
        grown = images.impad(picture, padding=padding, padding_mode="edge")
        assert np.array_equal(grown, np.pad(picture, ((above, below), (left, right), (0, 0)), "edge"))
    for mode in ("reflect", "symmetric"):
        grown = images.impad(picture, padding=2, padding_mode=mode)
        assert np.array_equal(grown, np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode))
    assert images.impad(picture[..., 0], padding=1, pad_val=7)[0, 0] == 7
    with pytest.raises(ValueError, match="give either shape or padding, got shape=None, padding=None"):
        images.impad(picture)
    with pytest.raises(ValueError, match="cannot be padded with shape=\\(1, 1\\), padding=None"):
        images.impad(picture, shape=(1, 1))
    with pytest.raises(ValueError, match="padding_mode must be one of constant, edge, reflect, symmetric, got 'wrap'"):
        images.impad(picture, padding=1, padding_mode="wrap")
