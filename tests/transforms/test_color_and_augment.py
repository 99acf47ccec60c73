import colorsys

import numpy as np
import pytest

from kinema.transforms import ColorJitter, RandomErasing
from kinema.transforms.augment import random_erasing_box
from kinema.transforms.color import adjust_contrast, adjust_hue, adjust_saturation


def frames_of(num_frames=3, height=6, width=8):
    return np.random.default_rng(1).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


def test_contrast_and_saturation_blend_with_grey():
    frame = frames_of(1)[0].astype(np.float32)
    grey = (frame * [0.2989, 0.587, 0.114]).sum(axis=-1)
    assert np.allclose(adjust_saturation(frame, 0.25), 0.25 * frame + 0.75 * grey[..., None], atol=1e-3)
    assert np.allclose(adjust_contrast(frame, 1.5), 1.5 * frame - 0.5 * grey.mean(), atol=1e-3)


@pytest.mark.parametrize("factor", [-0.1, 0.1])
def test_hue_turns_the_colour_circle(factor):
    red = np.zeros((2, 2, 3), dtype=np.float32)
    red[..., 0] = 200
    turned = adjust_hue(red, factor)[0, 0]
    hue = colorsys.rgb_to_hsv(*(turned / 255))[0]
    assert hue == pytest.approx((int(factor * 255) / 180) % 1, abs=0.01)


@pytest.mark.parametrize("as_list", [True, False])
def test_color_jitter_changes_all_frames_alike(as_list):
    np.random.seed(0)
    jitter = ColorJitter()
    frame = frames_of(1)[0]
    clip = [frame] * 3 if as_list else np.stack([frame] * 3)
    result = jitter({"imgs": clip})["imgs"]
    assert (result.shape, result.dtype) == ((3, 6, 8, 3), np.uint8)
    assert np.array_equal(result[0], result[2])
    assert not np.array_equal(result[0], frame)


def test_color_jitter_of_nothing_changes_nothing():
    frames = frames_of()
    assert np.array_equal(ColorJitter(0, 0, 0, (0, 0))({"imgs": frames})["imgs"], frames)


def test_erasing_fills_one_box_in_all_frames():
    np.random.seed(3)
    frames = frames_of(3, 40, 60)
    result = RandomErasing(1.0, fill_color=(1, 2, 3))({"imgs": frames, "img_shape": (40, 60)})["imgs"]
    changed = (result != frames).any(axis=-1)
    assert np.array_equal(frames, frames_of(3, 40, 60))  # the input is not touched
    assert (result[changed] == [1, 2, 3]).all()
    rows, columns = np.nonzero(changed.any(axis=0))
    box = (slice(None), slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    assert (result[box] == [1, 2, 3]).all()


def test_erasing_with_noise_draws_it_anew_for_every_frame():
    np.random.seed(3)
    frames = np.zeros((2, 40, 60, 3), dtype=np.uint8)
    for options in ({}, {"fill_std": 20.0}):
        result = RandomErasing(1.0, mode="rand", **options)({"imgs": frames, "img_shape": (40, 60)})["imgs"]
        assert not np.array_equal(result[0], result[1])


def test_erasing_happens_as_often_as_asked():
    np.random.seed(0)
    frames = list(frames_of(1, 20, 20))
    erase = RandomErasing(0.25)
    erased = sum(erase({"imgs": frames, "img_shape": (20, 20)})["imgs"] is not frames for _ in range(400))
    assert 70 <= erased <= 130


def test_erasing_boxes_stay_inside_and_keep_their_share():
    np.random.seed(0)
    for _ in range(200):
        left, top, right, bottom = random_erasing_box((60, 40), (0.1, 0.3), (0.5, 2.0))
        assert 0 <= left < right <= 60
        assert 0 <= top < bottom <= 40
        assert 0.08 <= (right - left) * (bottom - top) / 2400 <= 0.33


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ColorJitter(brightness=-1), "brightness must be a number of at least 0, or .* got -1"),
        (lambda: ColorJitter(hue=(0.2, 0.1)), r"hue must be .* within -0.5 and 0.5, got \(0.2, 0.1\)"),
        (lambda: ColorJitter(hue=0.7), "hue must be .* got 0.7"),
        (lambda: RandomErasing(2), "erase_prob must be within 0 and 1, got 2"),
        (lambda: RandomErasing(min_area_ratio=0.5), "need 0 < min_area_ratio <= max_area_ratio <= 1"),
        (
            lambda: RandomErasing(aspect_range=(2, 1)),
            r"aspect_range must be two numbers, 0 < low <= high, got \(2, 1\)",
        ),
        (lambda: RandomErasing(mode="blur"), "mode must be 'const' or 'rand', got 'blur'"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
