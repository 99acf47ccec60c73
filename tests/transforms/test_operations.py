"""Each operation against its definition, computed slowly: a pixel at a time, or by PIL where it has the same one."""

import math
from fractions import Fraction

import numpy as np
import pytest

from kinema.transforms import operations as ops


def clip(num_frames=2, height=9, width=11, seed=0):
    frames = np.random.default_rng(seed).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    frames[-1] = frames[-1] // 3 + 40  # another range of values, so that what is measured differs between frames
    return frames


def slow_grey(pixel):
    red, green, blue = (np.float32(value) for value in pixel)
    return int(np.float32(0.2989) * red + np.float32(0.587) * green + np.float32(0.114) * blue)


def slow_blend(frames, others, factor):
    """factor * frame + (1 - factor) * other in float32, truncated, from `others(frame, y, x)`."""
    out = np.zeros_like(frames)
    own_share, share = np.float32(factor), np.float32(1 - factor)
    for t, y, x in np.ndindex(*frames.shape[:3]):
        for channel, other in enumerate(np.broadcast_to(others(frames[t], y, x), 3)):
            value = own_share * np.float32(frames[t, y, x, channel]) + share * np.float32(other)
            out[t, y, x, channel] = int(min(max(value, 0), 255))
    return out


def slow_smooth(frame, y, x):
    """Mean of 3x3 pixels, the middle one counted five times; the outermost pixels stay."""
    if y in (0, len(frame) - 1) or x in (0, frame.shape[1] - 1):
        return frame[y, x]
    around = frame[y - 1 : y + 2, x - 1 : x + 2].astype(int).sum(axis=(0, 1)) + 4 * frame[y, x].astype(int)
    return [math.floor(Fraction(int(total), 13) + Fraction(1, 2)) for total in around]


OTHERS = {
    "brightness": lambda frame, y, x: 0,
    "contrast": lambda frame, y, x: np.mean([slow_grey(pixel) for row in frame for pixel in row]),
    "saturation": lambda frame, y, x: slow_grey(frame[y, x]),
    "sharpness": slow_smooth,
}


@pytest.mark.parametrize("factor", [0.0, 0.37, 1.0, 1.63])
@pytest.mark.parametrize("name", OTHERS)
def test_a_factor_blends_with_what_it_should(name, factor):
    frames = clip()
    result = getattr(ops, f"change_{name}")(frames, factor)
    assert np.array_equal(result, slow_blend(frames, OTHERS[name], factor))
    if factor == 1:
        assert np.array_equal(result, frames)


def test_frames_without_an_inside_have_no_sharpness_to_change():
    frames = clip(2, 2, 9)
    assert np.array_equal(ops.change_sharpness(frames, 0.1), frames)


def test_autocontrast_stretches_each_channel_of_each_frame():
    frames = clip()
    frames[0, ..., 2] = 77  # one value: stays
    slow = frames.copy()
    for t, channel in np.ndindex(2, 3):
        values = frames[t, ..., channel].astype(float)
        low, high = values.min(), values.max()
        if high > low:
            scale = np.float32(255) / np.float32(high - low)
            slow[t, ..., channel] = [[int(np.float32(v - low) * scale) for v in row] for row in values]
    result = ops.autocontrast(frames)
    assert np.array_equal(result, slow)
    assert (result[0, ..., 2] == 77).all()
    assert (result[1].min(), result[1].max()) == (0, 255)


@pytest.mark.parametrize("height", [9, 40])
def test_equalize_and_what_else_pil_defines_alike_is_equal_to_it(height):
    image = pytest.importorskip("PIL.Image")
    by_pil = pytest.importorskip("PIL.ImageOps")
    frames = clip(3, height, 31)
    frames[2] = 9
    pairs = [
        (ops.equalize(frames), by_pil.equalize),
        (ops.invert(frames), by_pil.invert),
        *((ops.posterize(frames, bits), lambda one, bits=bits: by_pil.posterize(one, bits)) for bits in range(1, 9)),
        *((ops.solarize(frames, at), lambda one, at=at: by_pil.solarize(one, at)) for at in (0, 100, 128.5, 255)),
    ]
    for result, function in pairs:
        for ours, frame in zip(result, frames, strict=True):
            assert np.array_equal(ours, np.asarray(function(image.fromarray(frame))))


def test_bits_and_thresholds_at_their_ends():
    frames = clip()
    assert np.array_equal(ops.posterize(frames, 8), frames)
    assert not ops.posterize(frames, 0).any()
    assert set(np.unique(ops.posterize(frames, 2))) <= {0, 64, 128, 192}
    assert np.array_equal(ops.solarize(frames, 256), frames)
    assert np.array_equal(ops.solarize(frames, 0), ops.invert(frames))


def slow_warp(frames, place, fill):
    """Pixel (x, y) from `place(x, y)` of the input, bilinear; the fill colour surrounds the frame."""
    out = np.zeros(frames.shape)
    _, height, width, _ = frames.shape
    for y, x in np.ndindex(height, width):
        from_x, from_y = place(x, y)
        left, top = math.floor(from_x), math.floor(from_y)
        for dx, dy in np.ndindex(2, 2):
            weight = (1 - abs(from_x - left - dx)) * (1 - abs(from_y - top - dy))
            inside = 0 <= left + dx < width and 0 <= top + dy < height
            out[:, y, x] += weight * (frames[:, top + dy, left + dx] if inside else np.array(fill, dtype=float))
    return out


def turned_back(degrees, width, height):
    """Where a pixel comes from when the frame is turned counter-clockwise around its middle (y points down)."""
    angle = math.radians(degrees)
    cx, cy = (width - 1) / 2, (height - 1) / 2

    def place(x, y):
        dx, up = x - cx, cy - y
        return (
            cx + math.cos(-angle) * dx - math.sin(-angle) * up,
            cy - (math.sin(-angle) * dx + math.cos(-angle) * up),
        )

    return place


WARPS = [
    ("rotate", 17.3, turned_back(17.3, 11, 9)),
    ("rotate", -90, turned_back(-90, 11, 9)),
    ("shear_x", 0.21, lambda x, y: (x + 0.21 * (y + 0.5), y)),  # pixel y lies y + 0.5 below the upper edge
    ("shear_y", -0.3, lambda x, y: (x, y - 0.3 * (x + 0.5))),
    ("translate_x", 3.25, lambda x, y: (x + 3.25, y)),
    ("translate_y", -2.5, lambda x, y: (x, y - 2.5)),
]


@pytest.mark.parametrize(("name", "amount", "place"), WARPS)
@pytest.mark.parametrize("fill", [(0, 0, 0), (9, 100, 200)])
def test_geometry_is_bilinear_and_fills_what_it_uncovers(name, amount, place, fill):
    frames = clip(2, 9, 11)
    result = getattr(ops, name)(frames, amount, fill)
    # OpenCV before 5 rounds places to 1/32 of a pixel: up to 8 of 255 levels where neighbours are
    # black and white.
    assert np.abs(result - slow_warp(frames, place, fill)).max() <= 8.5


def test_whole_steps_move_pixels_unchanged():
    frames = clip()
    assert np.array_equal(ops.translate_x(frames, 3)[:, :, :-3], frames[:, :, 3:])
    assert (ops.translate_x(frames, 3, (1, 2, 3))[:, :, -3:] == [1, 2, 3]).all()
    assert np.array_equal(ops.translate_y(frames, -2)[:, 2:], frames[:, :-2])
    square = clip(2, 9, 9)
    assert np.array_equal(ops.rotate(square, 90), np.rot90(square, axes=(1, 2)))


EVERY = [
    *((f"change_{name}", (0.5,)) for name in OTHERS),
    *((name, ()) for name in ("autocontrast", "equalize", "invert")),
    *(("posterize", (3,)), ("solarize", (100.0,))),
    *((name, (amount,)) for name, amount, _ in WARPS),
]


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_views_are_taken_and_the_input_is_left_alone(name, arguments):
    mirrored = np.flip(clip(3, 20, 24), 2)[:, 3:-2, 1:-4]
    before = mirrored.copy()
    result = getattr(ops, name)(mirrored, *arguments)
    assert (result.dtype, result.shape) == (np.uint8, before.shape)
    assert np.array_equal(result, getattr(ops, name)(before, *arguments))
    assert np.array_equal(mirrored, before)
    assert not np.shares_memory(result, mirrored)
