"""Whole pipelines against the rules written out slowly: a loop over frames, OpenCV calls, and draws in the
published order.
"""

import hashlib
import random

import cv2
import numpy as np
import pytest

from kinema.transforms import ColorJitter, Compose

CLIPS, LENGTH = 2, 3
TAIL = [dict(type="FormatShape", input_format="NCTHW"), dict(type="PackActionInputs")]


def decoded(height, width):
    """Frames with smooth and sharp parts, as a decoder gives them."""
    noise = np.random.default_rng(7).integers(0, 256, (CLIPS * LENGTH, height, width, 3), dtype=np.uint8)
    return np.stack([cv2.blur(frame, (5, 5)) if i % 2 else frame for i, frame in enumerate(noise)])


def run(steps, frames, *, seed=None, as_list=False, **keys):
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
    sample = dict(
        imgs=list(frames) if as_list else frames, img_shape=frames.shape[1:3], clip_len=LENGTH, num_clips=CLIPS
    )
    return Compose([*steps, *TAIL])({**sample, "modality": "RGB", "label": 0, **keys})  # fmt: skip


def packed(views):
    """Lists of frames, view after view -> (views, C, T, H, W)."""
    clips = [views[i : i + LENGTH] for i in range(0, len(views), LENGTH)]
    return np.array([[[frame[..., c] for frame in clip] for c in range(3)] for clip in clips])


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def short_side(frames, side):
    height, width = frames[0].shape[:2]
    factor = side / min(height, width)
    size = int(width * factor + 0.5), int(height * factor + 0.5)
    return [cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames]


def crop(frames, left, top, width, height):
    return [frame[top : top + height, left : left + width].copy() for frame in frames]


def middle(frames, side):
    height, width = frames[0].shape[:2]
    return crop(frames, (width - side) // 2, (height - side) // 2, side, side)


def three_views(frames, side):
    height, width = frames[0].shape[:2]
    if height == side:
        step = (width - side) // 2
        places = [(0, 0), (2 * step, 0), (step, 0)]
    else:
        step = (height - side) // 2
        places = [(0, 0), (0, 2 * step), (0, step)]
    return [frame for left, top in places for frame in crop(frames, left, top, side, side)]


def ten_views(frames, side):
    height, width = frames[0].shape[:2]
    x, y = (width - side) // 4, (height - side) // 4
    views = []
    for left, top in [(0, 0), (4 * x, 0), (0, 4 * y), (4 * x, 4 * y), (2 * x, 2 * y)]:
        plain = crop(frames, left, top, side, side)
        views += plain + [cv2.flip(frame, 1) for frame in plain]
    return views


SIZES = [(120, 213), (213, 120), (97, 131)]


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("steps", "by_hand"),
    [
        (
            [dict(type="Resize", scale=(-1, 64)), dict(type="CenterCrop", crop_size=56)],
            lambda frames: middle(short_side(frames, 64), 56),
        ),
        (
            [dict(type="Resize", scale=(-1, 64)), dict(type="ThreeCrop", crop_size=64)],
            lambda frames: three_views(short_side(frames, 64), 64),
        ),
        (
            [dict(type="Resize", scale=(-1, 64)), dict(type="TenCrop", crop_size=56)],
            lambda frames: ten_views(short_side(frames, 64), 56),
        ),
        (
            [dict(type="Resize", scale=(56, 56), keep_ratio=False)],
            lambda frames: [cv2.resize(frame, (56, 56)) for frame in frames],
        ),
    ],
    ids=["centre", "three", "ten", "square"],
)
def test_test_views_are_the_published_pixels(steps, by_hand, size, as_list):
    inputs = run(steps, decoded(*size), as_list=as_list)["inputs"].numpy()
    expected = packed(by_hand(list(decoded(*size))))
    assert (inputs.shape, digest(inputs)) == (expected.shape, digest(expected))


def random_resized_by_hand(frames, area=(0.08, 1.0), shape=(3 / 4, 4 / 3)):
    height, width = frames[0].shape[:2]
    ratios = np.exp(np.random.uniform(np.log(shape[0]), np.log(shape[1]), size=10))
    areas = np.random.uniform(*area, size=10) * (height * width)
    for ratio, wanted in zip(ratios, areas, strict=True):
        w, h = int(np.round(np.sqrt(wanted * ratio))), int(np.round(np.sqrt(wanted / ratio)))
        if w <= width and h <= height:
            left = random.randint(0, width - w)
            return crop(frames, left, random.randint(0, height - h), w, h)
    return middle(frames, min(height, width))


def multi_scale_by_hand(frames, side, scales):
    height, width = frames[0].shape[:2]
    sides = [int(min(height, width) * scale) for scale in scales]
    sizes = [(w, h) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= 1]
    w, h = [side if abs(one - side) < 3 else one for one in random.choice(sizes)]
    x, y = (width - w) // 4, (height - h) // 4
    left, top = random.choice([(0, 0), (4 * x, 0), (0, 4 * y), (4 * x, 4 * y), (2 * x, 2 * y)])
    return crop(frames, left, top, w, h)


def random_crop_by_hand(frames, side):
    height, width = frames[0].shape[:2]
    top = np.random.randint(0, height - side)
    return crop(frames, np.random.randint(0, width - side), top, side, side)


def random_rescale_by_hand(frames, low, high):
    return short_side(frames, np.random.randint(low, high + 1))


def flip_by_hand(frames, ratio=0.5):
    return [cv2.flip(frame, 1) for frame in frames] if np.random.rand() < ratio else frames


def square(frames, side):
    return [cv2.resize(frame, (side, side)) for frame in frames]


FINISH = [dict(type="Resize", scale=(56, 56), keep_ratio=False), dict(type="Flip", flip_ratio=0.5)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("steps", "by_hand"),
    [
        (
            [dict(type="Resize", scale=(-1, 64)), dict(type="RandomResizedCrop"), *FINISH],
            lambda frames: flip_by_hand(square(random_resized_by_hand(short_side(frames, 64)), 56)),
        ),
        (
            [
                dict(type="Resize", scale=(-1, 64)),
                dict(type="MultiScaleCrop", input_size=56, scales=(1, 0.875, 0.75, 0.66), max_wh_scale_gap=1),
                *FINISH,
            ],
            lambda frames: flip_by_hand(square(multi_scale_by_hand(short_side(frames, 64), 56, (1, 0.875, 0.75, 0.66)), 56)),
        ),
        (
            [
                dict(type="RandomRescale", scale_range=(64, 80)),
                dict(type="RandomCrop", size=56),
                dict(type="Flip", flip_ratio=0.5),
            ],
            lambda frames: flip_by_hand(random_crop_by_hand(random_rescale_by_hand(frames, 64, 80), 56)),
        ),
    ],
    ids=["random-resized", "multi-scale", "random-crop"],
)  # fmt: skip
def test_training_crops_draw_from_the_generators_in_the_published_order(steps, by_hand, seed):
    inputs = run(steps, decoded(97, 131), seed=seed)["inputs"].numpy()
    after = (random.random(), np.random.rand())
    random.seed(seed)
    np.random.seed(seed)
    expected = packed(by_hand(list(decoded(97, 131))))
    assert digest(inputs) == digest(expected)
    assert after == (random.random(), np.random.rand())  # no draw more, none less


def grey(frame):
    return 0.2989 * frame[..., 0] + 0.587 * frame[..., 1] + 0.114 * frame[..., 2]


def jitter_by_hand(frame, order, brightness, contrast, saturation, hue):
    frame = frame.astype(np.float32)
    for which in order:
        if which == 0:
            frame = frame * brightness
        elif which == 1:
            frame = contrast * frame + (1 - contrast) * np.mean(grey(frame))
        elif which == 2:
            frame = saturation * frame + (1 - saturation) * np.stack([grey(frame)] * 3, axis=-1)
        else:
            hsv = cv2.cvtColor(np.clip(frame, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV)
            hsv[..., 0] = (hsv[..., 0].astype(int) + int(hue * 255)) % 180
            frame = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
    return np.clip(frame, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_colours_change_as_published(seed):
    np.random.seed(seed)
    result = ColorJitter()({"imgs": decoded(97, 131)})["imgs"]
    np.random.seed(seed)
    order = np.random.permutation(4)
    b, c, s, h = (np.random.uniform(*around) for around in ((0.5, 1.5), (0.5, 1.5), (0.5, 1.5), (-0.1, 0.1)))
    expected = [jitter_by_hand(frame, order, b, c, s, h) for frame in decoded(97, 131)]
    assert digest(result) == digest(np.stack(expected))
