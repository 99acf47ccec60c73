from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from kinema.compat.parts.images import adjustments, colors, files, geometry, resizing
from kinema.compat.parts.images.tensors import tensor2imgs
from kinema.errors import KinemaError


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_the_guides_resize_keeps_the_shape_with_an_infinite_long_side(picture: np.ndarray) -> None:
    assert resizing.rescale_size((340, 256), (np.inf, 224)) == (298, 224)
    assert resizing.rescale_size((8, 6), 0.5, return_scale=True) == ((4, 3), 0.5)
    assert resizing.rescale_size((8, 6), (4, 4), return_scale=True) == ((4, 3), 0.5)
    resized = resizing.imresize(picture, (4, 3))
    assert np.array_equal(resized, cv2.resize(picture, (4, 3)))
    again, across, down = resizing.imresize(picture, (4, 3), return_scale=True, interpolation="nearest")
    assert again.shape == (3, 4, 3)
    assert (across, down) == (0.5, 0.5)
    smaller, factor = resizing.imrescale(picture, (4, 4), return_scale=True)
    assert factor == 0.5
    assert np.array_equal(smaller, resized)
    assert np.array_equal(resizing.imrescale(picture, (4, 4)), resized)


def test_unknown_values_are_refused_with_those_there_are(picture: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="backend must be one of cv2, .*, got 'jpeg'"):
        resizing.imresize(picture, (4, 3), backend="jpeg")
    with pytest.raises(ImportError, match="with OpenCV or Pillow here, not with turbojpeg"):
        files.use_backend("turbojpeg")
    with pytest.raises(ValueError, match=r"interpolation must be one of nearest, .*, got 'area'"):
        resizing.imresize(picture, (4, 3), interpolation="area", backend="pillow")
    with pytest.raises(TypeError, match="Pillow resizes images of uint8, got float32"):
        resizing.imresize(picture.astype(np.float32), (4, 3), backend="pillow")
    with pytest.raises(TypeError, match=r"scale must be a number or a tuple of two .* got \[4, 4\]"):
        resizing.imrescale(picture, [4, 4])
    with pytest.raises(ValueError, match=r"interpolation must be one of nearest, .*, got 'cubic'"):
        resizing.imresize(picture, (4, 3), interpolation="cubic")
    with pytest.raises(ValueError, match=r"flag must be one of color, .*, got 'colour'"):
        files.imfrombytes(b"", flag="colour")
    with pytest.raises(ValueError, match="channel_order must be one of bgr, rgb, got 'gbr'"):
        files.imfrombytes(b"", channel_order="gbr")
    with pytest.raises(ValueError, match="direction must be one of horizontal, vertical, diagonal, got 'left'"):
        geometry.imflip(picture, "left")


def test_an_image_is_read_back_in_the_order_asked(picture: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "new" / "picture.png"
    assert files.imwrite(picture, file)
    assert np.array_equal(files.imread(file), picture)
    assert np.array_equal(files.imread(str(file), channel_order="rgb"), picture[..., ::-1])
    assert files.imread(file, flag="grayscale").shape == (6, 8)
    assert files.imread(picture) is picture


def test_what_is_no_image_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    for content in (b"", b"no image"):
        (tmp_path / "a.jpg").write_bytes(content)
        with pytest.raises(KinemaError, match=r"a\.jpg: these bytes are no image that OpenCV can read"):
            files.imread(tmp_path / "a.jpg")
    with pytest.raises(KinemaError, match="these bytes are no image that OpenCV can read"):
        files.imfrombytes(b"no image")
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        files.imread(tmp_path / "missing.jpg")
    with pytest.raises(TypeError, match="an image must be an array or the path of a file, got int"):
        files.imread(1)
    for call in (files.imread, files.imwrite):
        with pytest.raises(ValueError, match="file_client_args is the old name of backend_args"):
            call(*(["a.jpg"] if call is files.imread else [0, "a.jpg"]), file_client_args={}, backend_args={})


def test_normalising_equals_its_definition_and_can_be_undone(picture: np.ndarray) -> None:
    mean, std = np.array([1.0, 2.0, 3.0]), [4.0, 5.0, 8.0]
    expected = (picture[..., ::-1].astype(np.float64) - mean) / std
    normalised = adjustments.imnormalize(picture, mean, std)
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised, expected, rtol=1e-6)
    np.testing.assert_allclose(adjustments.imdenormalize(normalised, mean, std), picture, atol=1e-4)
    in_place = picture.astype(np.float32)
    assert adjustments.imnormalize_(in_place, mean, std, to_rgb=False) is in_place
    np.testing.assert_allclose(in_place, (picture - mean) / std, rtol=1e-6)
    with pytest.raises(TypeError, match="must be of a floating-point type, got uint8"):
        adjustments.imnormalize_(picture, mean, std)


def test_colours_change_as_their_names_say(picture: np.ndarray) -> None:
    assert np.array_equal(colors.bgr2rgb(picture), picture[..., ::-1])
    assert np.array_equal(colors.rgb2bgr(picture), picture[..., ::-1])
    assert np.array_equal(adjustments.iminvert(picture), 255 - picture)
    assert np.array_equal(colors.imconvert(picture, "bgr", "hsv"), cv2.cvtColor(picture, cv2.COLOR_BGR2HSV))
    gray = colors.bgr2gray(picture, keepdim=True)
    assert gray.shape == (6, 8, 1)
    assert np.array_equal(gray[..., 0], colors.rgb2gray(picture[..., ::-1].copy()))
    assert np.array_equal(colors.gray2bgr(gray), np.repeat(gray, 3, axis=2))
    assert np.array_equal(colors.gray2rgb(gray), np.repeat(gray, 3, axis=2))
    assert np.array_equal(geometry.imflip(picture), picture[:, ::-1])
    assert np.array_equal(geometry.imflip(picture, "diagonal"), picture[::-1, ::-1])


def test_an_image_is_mirrored_in_place(picture: np.ndarray) -> None:
    mirrored = picture[::-1, ::-1].copy()
    assert geometry.imflip_(picture, "diagonal") is picture
    assert np.array_equal(picture, mirrored)


def test_a_border_is_put_around(picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    grown = geometry.impad(picture, shape=(height + 1, width + 2), pad_val=(1, 2, 3))
    assert np.array_equal(grown[:height, :width], picture)
    assert grown[-1, -1].tolist() == [1, 2, 3]
    for padding, sides in ((2, (2, 2, 2, 2)), ((1, 2), (1, 2, 1, 2)), ((1, 2, 3, 4), (1, 2, 3, 4))):
        left, above, right, below = sides
        grown = geometry.impad(picture, padding=padding, padding_mode="edge")
        assert np.array_equal(grown, np.pad(picture, ((above, below), (left, right), (0, 0)), "edge"))
    for mode in ("reflect", "symmetric"):
        grown = geometry.impad(picture, padding=2, padding_mode=mode)
        assert np.array_equal(grown, np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode))
    assert geometry.impad(picture[..., 0], padding=1, pad_val=7)[0, 0] == 7
    assert geometry.impad(picture, padding=1, pad_val=7)[0, 0].tolist() == [7, 0, 0]
    assert np.array_equal(geometry.impad(picture, shape=(1, 1)), picture)
    assert geometry.impad_to_multiple(picture, 5).shape == (10, 10, 3)
    with pytest.raises(ValueError, match="give either shape or padding, got shape=None, padding=None"):
        geometry.impad(picture)
    with pytest.raises(ValueError, match=r"padding must be a number or a tuple of 2 or 4, 0 or more, got \(1, 2, 3\)"):
        geometry.impad(picture, padding=(1, 2, 3))
    with pytest.raises(ValueError, match="padding_mode must be one of constant, edge, reflect, symmetric, got 'wrap'"):
        geometry.impad(picture, padding=1, padding_mode="wrap")
    with pytest.raises(ValueError, match=r"pad_val must have a number for each of the 3 channels, got \(100, 200\)"):
        geometry.impad(picture, padding=3, pad_val=(100, 200))
    with pytest.raises(TypeError, match="pad_val must be a number or a tuple of numbers, got '0'"):
        geometry.impad(picture, padding=3, pad_val="0")


def test_sizes_are_rounded_up_to_multiples(picture: np.ndarray) -> None:
    assert resizing.imresize_to_multiple(picture, 5, size=(11, 4)).shape == (5, 15, 3)
    assert resizing.imresize_to_multiple(picture, (4, 5), scale_factor=2).shape == (15, 16, 3)
    assert resizing.imresize_to_multiple(picture, 2, size=(100, 3), keep_ratio=True).shape == (4, 4, 3)
    assert resizing.imresize_like(picture, picture[:3, :2]).shape == (3, 2, 3)
    with pytest.raises(ValueError, match="give either size or scale_factor, got size=None, scale_factor=None"):
        resizing.imresize_to_multiple(picture, 2)


def test_images_turn_shear_and_move(picture: np.ndarray) -> None:
    square = picture[:, :6]
    assert np.array_equal(geometry.imrotate(square, 90), np.rot90(square, -1))
    assert np.array_equal(geometry.imrotate(picture, 90, auto_bound=True), np.rot90(picture, -1))
    assert np.array_equal(geometry.imrotate(picture, 180, center=(3.5, 2.5)), picture[::-1, ::-1])
    right = geometry.imtranslate(picture, 2, border_value=(1, 2, 3))
    assert np.array_equal(right[:, 2:], picture[:, :-2])
    assert np.array_equal(right[:, :2], np.broadcast_to([1, 2, 3], (6, 2, 3)))
    assert np.array_equal(geometry.imtranslate(picture, -1, "vertical")[:-1], picture[1:])
    sheared = geometry.imshear(picture, 1)
    for row in range(6):
        assert np.array_equal(sheared[row, row:], picture[row, : 8 - row])
        assert not sheared[row, :row].any()
    assert np.array_equal(geometry.imshear(picture, 1, "vertical")[1:, 1], picture[:-1, 1])
    with pytest.raises(ValueError, match="auto_bound=True turns the image about its middle: give no center"):
        geometry.imrotate(picture, 90, center=(1, 1), auto_bound=True)
    with pytest.raises(TypeError, match=r"center must be a tuple \(x, y\), got \[1, 1\]"):
        geometry.imrotate(picture, 90, center=[1, 1])


def test_boxes_are_cut_out(picture: np.ndarray) -> None:
    box = np.array([1, 2, 3, 4])
    assert np.array_equal(geometry.imcrop(picture, box), picture[2:5, 1:4])
    both = geometry.imcrop(picture, np.stack([box, box - 2]), pad_fill=(7, 8, 9))
    assert np.array_equal(both[0], picture[2:5, 1:4])
    assert np.array_equal(both[1][:, 0], np.broadcast_to([7, 8, 9], (3, 3)))
    assert np.array_equal(both[1][:, 1:], picture[:3, :2])
    assert geometry.bbox_scaling(box.astype(float), 2).tolist() == [-0.5, 0.5, 4.5, 5.5]
    assert geometry.bbox_scaling(box, 1).tolist() == box.tolist()
    assert geometry.bbox_clip(np.array([-1, 3, 9, 9]), (6, 8)).tolist() == [0, 3, 7, 5]
    with pytest.raises(ValueError, match=r"boxes need 4 numbers each, got the shape \(3,\)"):
        geometry.bbox_clip(np.zeros(3), (6, 8))


def test_a_hole_is_cut_at_a_random_place(picture: np.ndarray) -> None:
    np.random.seed(1)
    y, x = np.random.uniform(6), np.random.uniform(8)
    np.random.seed(1)
    cut = geometry.cutout(picture, (2, 4), pad_val=(1, 2, 3))
    top, left = int(max(0, y - 1)), int(max(0, x - 2))
    expected = picture.copy()
    expected[top : top + 2, left : left + 4] = 1, 2, 3
    assert np.array_equal(cut, expected)
    with pytest.raises(TypeError, match=r"shape must be a whole number or a tuple \(height, width\), got 2.5"):
        geometry.cutout(picture, 2.5)


def test_pillow_reads_resizes_and_adjusts_too(picture: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    files.imwrite(picture, file)
    assert np.array_equal(files.imread(file, backend="pillow"), picture)
    assert np.array_equal(files.imread(file, "unchanged", backend="pillow"), picture)
    assert files.imread(file, "grayscale", backend="pillow").shape == (6, 8)
    files.use_backend("pillow")
    try:
        Image.merge("LA", [Image.fromarray(picture[..., channel]) for channel in range(2)]).save(file)
        flat = files.imread(file, channel_order="rgb")
        alpha = picture[..., 1:2] / 255
        np.testing.assert_allclose(flat, picture[..., :1] * alpha + np.array([124, 117, 104]) * (1 - alpha), atol=1)
    finally:
        files.use_backend("cv2")
    resized = resizing.imresize(picture, (4, 3), interpolation="box", backend="pillow")
    assert np.array_equal(resized, np.asarray(Image.fromarray(picture).resize((4, 3), Image.Resampling.BOX)))
    rgb = Image.fromarray(picture[..., ::-1].copy())
    for change, enhancer in (
        (adjustments.adjust_color, ImageEnhance.Color),
        (adjustments.adjust_brightness, ImageEnhance.Brightness),
        (adjustments.adjust_contrast, ImageEnhance.Contrast),
    ):
        expected = np.asarray(enhancer(rgb).enhance(0.3))[..., ::-1]
        assert np.array_equal(change(picture, 0.3, backend="pillow"), expected)
        assert np.abs(change(picture, 0.3).astype(int) - expected).max() <= 1
    with pytest.raises(TypeError, match=r"Pillow adjusts images \(H, W, 3\) of uint8, got \(6, 8\) of uint8"):
        adjustments.adjust_color(picture[..., 0], 0.3, backend="pillow")
    with pytest.warns(UserWarning, match="by alpha alone, without beta and gamma"):
        adjustments.adjust_color(picture, 0.3, gamma=1, backend="pillow")


def test_histograms_and_values_change_as_in_pillow(picture: np.ndarray) -> None:
    picture = cv2.resize(picture // 2 + 30, (64, 48))
    image = Image.fromarray(picture)
    assert np.array_equal(adjustments.imequalize(picture), np.asarray(ImageOps.equalize(image)))
    assert np.array_equal(adjustments.auto_contrast(picture), np.asarray(ImageOps.autocontrast(image)))
    assert np.array_equal(
        adjustments.auto_contrast(picture, (10, 20)), np.asarray(ImageOps.autocontrast(image, (10, 20)))
    )
    assert np.array_equal(adjustments.solarize(picture, 70), np.asarray(ImageOps.solarize(image, 70)))
    assert np.array_equal(adjustments.posterize(picture, 3), np.asarray(ImageOps.posterize(image, 3)))
    plain = np.full((4, 4, 3), 9, np.uint8)
    assert np.array_equal(adjustments.imequalize(plain), plain)
    assert np.array_equal(adjustments.auto_contrast(plain), plain)
    blurred = cv2.filter2D(picture, -1, np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13)
    assert np.array_equal(adjustments.adjust_sharpness(picture, 0), blurred)
    assert np.array_equal(adjustments.adjust_sharpness(picture, 1), picture)
    reverse = np.arange(255, -1, -1).astype(np.uint8)
    assert np.array_equal(adjustments.lut_transform(picture, reverse), 255 - picture)
    grey = picture[..., 0]
    expected = cv2.createCLAHE(40.0, (8, 8)).apply(grey)
    assert np.array_equal(adjustments.clahe(grey), expected)


def test_adjustments_refuse_what_they_cannot_do(picture: np.ndarray) -> None:
    grey, table = picture[..., 0], np.arange(256)
    cases = (
        (TypeError, r"cutoff must be a number or a tuple of two, got \(1,\)", "auto_contrast", picture, (1,)),
        (ValueError, r"a kernel must have two axes, got the shape \(3,\)", "adjust_sharpness", picture, 1, np.ones(3)),
        (TypeError, r"an image must be an array, got list", "lut_transform", [1], table),
        (ValueError, r"values from 0 to 255, got -1 to -1", "lut_transform", np.array([-1]), table),
        (ValueError, r"lut_table must have 256 values, got the shape \(9,\)", "lut_transform", picture, table[:9]),
        (TypeError, r"clahe needs a grey image, \(H, W\), got \(6, 8, 3\)", "clahe", picture),
        (TypeError, r"clip_limit must be a number, got '1'", "clahe", grey, "1"),
        (TypeError, r"tile_grid_size must be a tuple of two whole numbers, got 8", "clahe", grey, 40, 8),
        (ValueError, r"hue_factor must be within -0\.5 and 0\.5, got 0\.6", "adjust_hue", picture, 0.6),
        (TypeError, r"with colours must be an array \(H, W, 3\), got \(6, 8\)", "adjust_hue", grey, 0.1),
        (TypeError, r"eigval and eigvec must be arrays, got list and list", "adjust_lighting", picture, [], []),
        (ValueError, r"got \(2,\) and \(3, 3\)", "adjust_lighting", picture, np.ones(2), np.ones((3, 3))),
        (ValueError, r"images \(H, W, 3\), got \(6, 8\)", "adjust_lighting", grey, np.ones(3), np.ones((3, 3))),
        (TypeError, r"must be of a floating-point type, got uint8", "imdenormalize", picture, [0], [1]),
    )
    for kind, message, name, *arguments in cases:
        with pytest.raises(kind, match=message):
            getattr(adjustments, name)(*arguments)


def test_colours_turn_and_light_changes(picture: np.ndarray) -> None:
    red = np.full((2, 2, 3), (0, 0, 255), np.uint8)
    for backend in ("cv2", "pillow"):
        turned = adjustments.adjust_hue(red, 1 / 3, backend)[0, 0]
        assert turned.tolist() == pytest.approx([0, 255, 0], abs=6)
        back = adjustments.adjust_hue(adjustments.adjust_hue(red, 0.25, backend), -0.25, backend)[0, 0]
        assert back.tolist() == pytest.approx([0, 0, 255], abs=12)
    values, vectors = np.array([2.0, 1.0]), np.array([[1.0, 0], [0, 1], [1, 1]])
    np.random.seed(0)
    noise = vectors @ (values * np.random.normal(0, 0.1, 2))
    np.random.seed(0)
    np.testing.assert_allclose(adjustments.adjust_lighting(picture, values, vectors), picture[..., ::-1] + noise)


def test_luma_and_chroma_follow_their_standard(picture: np.ndarray) -> None:
    blue, green, red = (picture[..., channel] / 255 for channel in range(3))
    luma = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
    assert np.array_equal(colors.bgr2ycbcr(picture, y_only=True), luma.round().astype(np.uint8))
    whole = colors.bgr2ycbcr(picture)
    assert np.array_equal(whole, colors.rgb2ycbcr(picture[..., ::-1]))
    assert np.abs(colors.ycbcr2bgr(whole).astype(int) - picture).max() <= 2
    unit = (picture / 255).astype(np.float32)
    assert np.abs(colors.ycbcr2rgb(colors.rgb2ycbcr(unit)) - unit).max() < 1e-5
    for there, back in ((colors.bgr2hsv, colors.hsv2bgr), (colors.bgr2hls, colors.hls2bgr)):
        assert np.abs(back(there(unit)) - unit).max() < 1e-5
    with pytest.raises(TypeError, match=r"must be of uint8 in \[0, 255\] or of float32 in \[0, 1\], got int32"):
        colors.rgb2ycbcr(picture.astype(np.int32))


def test_a_batch_becomes_images_again(picture: np.ndarray) -> None:
    normalised = adjustments.imnormalize(picture, [1, 2, 3], [2, 4, 8])
    batch = torch.from_numpy(normalised.transpose(2, 0, 1))[None]
    (image,) = tensor2imgs(batch, (1, 2, 3), (2, 4, 8))
    assert image.flags["C_CONTIGUOUS"]
    assert np.abs(image.astype(int) - picture).max() <= 1
    with pytest.raises(ValueError, match=r"got 1 channels, mean=\(0,\), std=\(1,\), to_rgb=True"):
        tensor2imgs(batch[:, :1])
    with pytest.raises(TypeError, match=r"expected a tensor \(B, C, H, W\), got torch.Size\(\[3, 6, 8\]\)"):
        tensor2imgs(batch[0])


def test_an_image_is_made_a_type_in_its_range() -> None:
    assert colors.as_float(np.array([0, 255], np.uint8)).tolist() == [0.0, 1.0]
    assert colors.as_type(np.array([0.4, 254.6]), np.uint8).tolist() == [0, 255]
    assert colors.as_type(np.array([0.0, 255.0], np.float32), np.float32).tolist() == [0.0, 1.0]
    with pytest.raises(TypeError, match="an image can be made uint8 or float32, not <class 'numpy.float64'>"):
        colors.as_type(np.zeros(1), np.float64)
