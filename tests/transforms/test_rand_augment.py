from collections import Counter

import numpy as np
import pytest
import torch

from kinema.errors import SampleValueError
from kinema.randomness import sample_randomness
from kinema.registry import TRANSFORMS
from kinema.transforms import FormatShape, RandAugment, TrivialAugment
from kinema.transforms import operations as ops
from kinema.transforms.rand_augment import RAND_AUGMENT_OPERATIONS, TRIVIAL_AUGMENT_OPERATIONS

COLOURS = ["Brightness", "Contrast", "Saturation", "Sharpness", "AutoContrast", "Equalize", "Invert", "Posterize"]
POLICIES = [RandAugment(7, 4), TrivialAugment()]


def clip(num_frames=4, height=20, width=30, seed=0):
    return np.random.default_rng(seed).integers(20, 200, (num_frames, height, width, 3), dtype=np.uint8)


def strongest_and_weakest(table, name, frames):
    """Results of an operation at strength 0 and 1, in the direction that the first draw of seed 0 and 1 gives."""
    results = []
    for strength in (0.0, 1.0):
        for seed in (0, 2):
            torch.manual_seed(seed)
            results.append(table[name](frames, strength, (0.0, 0.0, 0.0)))
    return results


def test_the_levels_are_those_of_the_recipes():
    frames = clip()
    for name, change in (
        ("Brightness", ops.change_brightness),
        ("Contrast", ops.change_contrast),
        ("Saturation", ops.change_saturation),
        ("Sharpness", ops.change_sharpness),
    ):
        results = strongest_and_weakest(RAND_AUGMENT_OPERATIONS, name, frames)
        assert np.array_equal(results[0], frames)
        assert {result.tobytes() for result in results[2:]} == {
            change(frames, 1.9).tobytes(),
            change(frames, 1 - 0.9).tobytes(),
        }
    for name, change, most in (
        ("Rotate", ops.rotate, 30),
        ("ShearX", ops.shear_x, 0.3),
        ("ShearY", ops.shear_y, 0.3),
        ("TranslateX", ops.translate_x, 0.45 * 30),
        ("TranslateY", ops.translate_y, 0.45 * 20),
    ):
        results = strongest_and_weakest(RAND_AUGMENT_OPERATIONS, name, frames)
        assert np.array_equal(results[0], frames)
        assert {result.tobytes() for result in results[2:]} == {
            change(frames, most).tobytes(),
            change(frames, -most).tobytes(),
        }


@pytest.mark.parametrize(("level", "bits"), [(0, 4), (2.4, 4), (2.5, 3), (7, 2), (9.9, 1), (10, 0)])
def test_posterize_loses_a_bit_every_two_and_a_half_levels(level, bits):
    frames = clip()
    result = RAND_AUGMENT_OPERATIONS["Posterize"](frames, level / 10, (0.0, 0.0, 0.0))
    assert np.array_equal(result, ops.posterize(frames, bits))


def test_solarize_lowers_its_threshold_by_a_tenth_a_level():
    frames = clip()
    result = RAND_AUGMENT_OPERATIONS["Solarize"](frames, 0.7, (0.0, 0.0, 0.0))
    assert np.array_equal(result, np.where(frames >= 76.5, 255 - frames, frames))


def test_trivial_augment_reaches_as_far_as_its_paper():
    frames = clip(2, 60, 80)
    black = (0.0, 0.0, 0.0)
    table = TRIVIAL_AUGMENT_OPERATIONS
    bits = [2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8]  # one less every 5 steps
    for step, kept in zip(range(30, 0, -2), bits, strict=True):
        assert np.array_equal(table["Posterize"](frames, step / 30, black), ops.posterize(frames, kept))
    moved = table["TranslateX"](frames, 1.0, black)
    assert any(np.array_equal(moved, ops.translate_x(frames, pixels)) for pixels in (32, -32))
    turned = table["Rotate"](frames, 1.0, black)
    assert any(np.array_equal(turned, ops.rotate(frames, degrees)) for degrees in (135, -135))
    assert np.array_equal(table["Solarize"](frames, 1.0, black), 255 - frames)


@pytest.mark.parametrize("policy", POLICIES)
def test_all_frames_of_a_clip_change_alike_and_those_of_the_next_clip_otherwise(policy):
    torch.manual_seed(3)
    frame = clip(1)[0]
    differing = 0
    for _ in range(20):
        result = policy({"imgs": np.stack([frame] * 8), "clip_len": 4, "num_clips": 2})["imgs"]
        for part in (result[:4], result[4:]):
            assert all(np.array_equal(part[0], other) for other in part)
        differing += not np.array_equal(result[0], result[4])
    assert differing > 10


@pytest.mark.parametrize("clip_len", [1, None])
def test_segments_of_single_frames_are_one_clip(clip_len):
    torch.manual_seed(1)
    sample = {"imgs": [clip(1)[0]] * 8, "clip_len": clip_len, "num_clips": 8}
    result = TrivialAugment()(sample)["imgs"]
    assert all(np.array_equal(result[0], other) for other in result)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_sample_is_a_function_of_seed_epoch_and_index(policy):
    def draw(*key):
        with sample_randomness(*key):
            return policy({"imgs": clip()})["imgs"].tobytes()

    drawn = [draw(0, 0, index) for index in range(20)]
    torch.rand(3)
    assert drawn == [draw(0, 0, index) for index in range(20)]
    assert len(set(drawn)) > 10
    assert drawn != [draw(0, 1, index) for index in range(20)]


class Counting:
    """An operation that counts its uses and their strengths."""

    def __init__(self, name, seen):
        self.name, self.seen, self.moves = name, seen, False

    def __call__(self, frames, strength, fill):
        self.seen.append((self.name, strength))
        return frames


def test_operations_are_drawn_evenly_once_each_and_applied_as_often_as_asked():
    torch.manual_seed(0)
    policy = RandAugment(magnitude=7, num_layers=4, prob=0.5)
    seen = []
    policy.operations = {name: Counting(name, seen) for name in policy.operations}
    lengths = Counter()
    for _ in range(1000):
        before = len(seen)
        policy.augment(clip(1))
        names = [name for name, _ in seen[before:]]
        assert len(names) == len(set(names))
        lengths[len(names)] += 1
    # how many of 4 operations are applied is binomial with 0.5: 1, 4, 6, 4, 1 of 16
    for count, share in enumerate((1, 4, 6, 4, 1)):
        assert abs(lengths[count] / 1000 - share / 16) < 0.05
    uses = Counter(name for name, _ in seen)
    assert len(uses) == 14
    assert max(uses.values()) < 1.6 * min(uses.values())
    levels = np.array([10 * strength for _, strength in seen])
    assert levels.mean() == pytest.approx(7, abs=0.1)
    assert levels.std() == pytest.approx(0.5, abs=0.05)


def test_levels_stay_within_what_there_is():
    torch.manual_seed(0)
    policy = RandAugment(magnitude=9.5, num_layers=14, prob=1.0, noise_std=5)
    seen = []
    policy.operations = {name: Counting(name, seen) for name in policy.operations}
    for _ in range(20):
        policy.augment(clip(1))
    strengths = [strength for _, strength in seen]
    assert len(strengths) == 20 * 14
    assert (min(strengths), max(strengths)) == (0, 1)


def test_trivial_augment_draws_one_operation_and_one_of_31_strengths():
    torch.manual_seed(0)
    policy = TrivialAugment()
    seen = []
    policy.operations = {name: Counting(name, seen) for name in policy.operations}
    for _ in range(2000):
        policy.augment(clip(1))
    assert len(seen) == 2000
    assert len({name for name, _ in seen}) == 14
    assert sorted({strength for _, strength in seen}) == [step / 30 for step in range(31)]


def test_without_probability_or_strength_nothing_changes():
    frames = clip()
    assert np.array_equal(RandAugment(prob=0)({"imgs": frames})["imgs"], frames)
    still = RandAugment(0, 4, 1.0, noise_std=0, operations=["Brightness", "Rotate", "ShearX", "TranslateY"])
    assert np.array_equal(still({"imgs": frames})["imgs"], frames)


def test_the_fill_colour_shows_where_pixels_were_moved_away():
    torch.manual_seed(0)
    policy = RandAugment(10, 1, 1.0, noise_std=0, fill=(1, 2, 3), operations="TranslateX")
    result = policy({"imgs": clip()})["imgs"]
    edges = result[:, :, :13], result[:, :, -13:]
    assert any((edge == [1, 2, 3]).all() for edge in edges)
    grey = RandAugment(10, 1, 1.0, noise_std=0, fill=128, operations=["TranslateX"])({"imgs": clip()})["imgs"]
    assert (grey == 128).all(axis=-1).sum() >= 4 * 20 * 13


def test_the_config_of_the_recipes_runs_to_the_models_input():
    pipeline = [
        TRANSFORMS.build(dict(type="PytorchVideoWrapper", op="RandAugment", magnitude=7, num_layers=4)),
        FormatShape("NCTHW"),
    ]
    sample = {"imgs": list(clip(8)), "clip_len": 4, "num_clips": 2, "img_shape": (20, 30)}
    for step in pipeline:
        sample = step(sample)
    assert sample["imgs"].shape == (2, 3, 4, 20, 30)
    assert sample["imgs"].dtype == np.uint8


@pytest.mark.parametrize("key", ["gt_bboxes", "proposals", "keypoint"])
def test_boxes_and_keypoints_are_refused_by_what_would_leave_them_behind(key):
    sample = {"imgs": clip(), key: np.zeros((1, 4))}
    with pytest.raises(SampleValueError, match=f"RandAugment moves what is in the frames, but would leave {key} where"):
        RandAugment()(dict(sample))
    assert RandAugment(operations=COLOURS)(sample)[key] is sample[key]


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (
            {"imgs": clip().astype(np.float32)},
            r"uint8 are needed, got shape \(4, 20, 30, 3\) of float32: put .*\(a.mp4\)",
        ),
        ({"imgs": clip()[..., :2]}, r"RGB frames .* got shape \(4, 20, 30, 2\)"),
        ({"imgs": [clip(1)[0], clip(1, 10)[0]]}, r"frames of one size are needed, got \(10, 30, 3\) and \(20, 30, 3\)"),
        ({"imgs": clip(7), "clip_len": 4}, "7 frames are no whole number of clips of clip_len=4 frames"),
        ({"imgs": [], "clip_len": 4}, "TrivialAugment: the sample has no frames"),
        ({"imgs": clip(), "lazy": {}}, "TrivialAugment: lazy steps wait"),
    ],
)
def test_frames_that_cannot_be_augmented_are_named(sample, message):
    with pytest.raises(SampleValueError, match=message):
        TrivialAugment()({"filename": "a.mp4", **sample})


def test_a_clip_length_a_modality_is_taken_by_its_name():
    torch.manual_seed(0)
    result = TrivialAugment()({"imgs": clip(6), "clip_len": {"RGB": 3, "Pose": 9}})
    assert result["imgs"].shape == (6, 20, 30, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandAugment(11), "magnitude must be within 0 and 10, got 11"),
        (lambda: RandAugment(prob=1.5), "prob must be within 0 and 1, got 1.5"),
        (lambda: RandAugment(noise_std=-1), "noise_std must be at least 0, got -1"),
        (lambda: RandAugment(num_layers=15), "num_layers must be within 1 and 14, the number of operations, got 15"),
        (lambda: RandAugment(num_layers=0), "num_layers must be within 1 and 14"),
        (lambda: RandAugment(fill=300), r"fill must be one number or three \(R, G, B\) within 0 and 255, got 300"),
        (lambda: TrivialAugment(fill=(0, 0)), r"TrivialAugment: fill must be .* got \(0, 0\)"),
        (lambda: RandAugment(operations=["rotat"]), "RandAugment has no operation 'rotat': did you mean Rotate"),
        (lambda: TrivialAugment(operations=["Blur"]), "TrivialAugment has no operation 'Blur': there are: Identity, "),
        (lambda: TrivialAugment(operations=[]), "operations must hold at least one of Identity, "),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
