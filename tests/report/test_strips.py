"""Any input of a model as pictures."""

import base64

import cv2
import numpy as np
import pytest
import torch

from kinema.report import model_views
from kinema.report.strips import normalisation_of, strip_jpeg

CLIP = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 5, 3), dtype=np.uint8)  # (V, T, H, W, C)
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@pytest.mark.parametrize(
    ("inputs", "num_decoded", "expected"),
    [
        (CLIP.transpose(0, 4, 1, 2, 3), 0, CLIP),  # NCTHW
        (CLIP.transpose(0, 1, 4, 2, 3), 0, CLIP),  # NPTCHW
        (CLIP, 0, CLIP),
        (CLIP.reshape(8, 6, 5, 3).transpose(0, 3, 1, 2), 4, CLIP),  # NCHW of two views
        (CLIP.reshape(8, 6, 5, 3).transpose(0, 3, 1, 2), 0, CLIP.reshape(1, 8, 6, 5, 3)),
        (CLIP[0].transpose(3, 0, 1, 2), 4, CLIP[:1]),  # CTHW
        (CLIP[0], 4, CLIP[:1]),
        (CLIP[0, 0].transpose(2, 0, 1), 1, CLIP[:1, :1]),
        (CLIP[0, 0], 1, CLIP[:1, :1]),
    ],
)
def test_every_layout_becomes_views_of_frames(inputs, num_decoded, expected):
    views = model_views(torch.from_numpy(inputs.copy()), num_decoded=num_decoded)
    np.testing.assert_array_equal(views.frames, expected)
    assert (views.shape, views.kind, views.note) == (inputs.shape, "uint8", "")


def test_one_channel_is_grey_two_are_a_flow_and_many_are_joints():
    np.testing.assert_array_equal(
        model_views(CLIP[0, ..., :1].transpose(3, 0, 1, 2)[None]).frames[..., 2], CLIP[:1, ..., 0]
    )
    flow = model_views(CLIP[..., :2].transpose(0, 4, 1, 2, 3)).frames
    np.testing.assert_array_equal(flow[..., :2], CLIP[..., :2])
    assert (flow[..., 2] == 128).all()
    joints = np.zeros((1, 17, 4, 6, 5), dtype=np.float32)
    joints[0, 5, 2, 1, 1] = 1
    shown = model_views(joints).frames
    assert shown.shape == (1, 4, 6, 5, 3)
    assert shown.nonzero()[1].tolist() == [2, 2, 2]


def test_normalised_values_are_brought_back():
    clip = torch.from_numpy(CLIP.transpose(0, 4, 1, 2, 3).copy())
    mean, std = (torch.tensor(one).view(1, 3, 1, 1, 1) for one in (MEAN, STD))
    views = model_views((clip - mean) / std, normalised_by=(MEAN, STD))
    np.testing.assert_array_equal(views.frames, CLIP)
    assert views.note == "normalisation undone"
    small = model_views((clip - mean) / std, normalised_by=([m / 255 for m in MEAN], [s / 255 for s in STD]))
    np.testing.assert_array_equal(small.frames, CLIP)


def test_floats_of_unknown_origin_are_shown_by_their_range():
    clip = torch.from_numpy(CLIP.transpose(0, 4, 1, 2, 3).copy()).float()
    np.testing.assert_array_equal(model_views(clip).frames, CLIP)
    unit = model_views(clip / 255)
    np.testing.assert_array_equal(unit.frames, CLIP)
    assert unit.note == "values from 0 to 1"
    stretched = model_views((clip / 255 - 0.5).bfloat16())
    assert stretched.note == "values from -0.5 to 0.5, stretched"
    assert np.abs(stretched.frames.astype(int) - CLIP).max() <= 3


def test_of_a_dict_the_frames_are_shown():
    inputs = {"keypoint": torch.zeros(17), "imgs": torch.from_numpy(CLIP.transpose(0, 4, 1, 2, 3).copy())}
    np.testing.assert_array_equal(model_views(inputs).frames, CLIP)


def test_an_input_without_pictures_is_an_error():
    with pytest.raises(ValueError, match=r"the input holds no pictures: Tensor of shape \(17, 2\)"):
        model_views(torch.zeros(17, 2))
    with pytest.raises(ValueError, match=r"no pictures: text: str, audio: Tensor of shape \(4,\)"):
        model_views({"text": "words", "audio": torch.zeros(4)})
    with pytest.raises(ValueError, match="no pictures"):
        model_views(torch.zeros(30, 20, 10))


def test_the_last_transform_with_mean_and_deviation_counts():
    class Normalize:
        mean, std = MEAN, STD

    class Wrapper:
        def __init__(self, transform):
            self.transform = transform

    assert normalisation_of([print, Normalize(), Wrapper(print)]) == (MEAN, STD)
    assert normalisation_of([Wrapper(Normalize())]) == (MEAN, STD)
    assert normalisation_of([print]) is None


def test_a_strip_holds_its_frames_side_by_side():
    frames = [np.full((40, 60, 3), (level, 0, 255 - level), np.uint8) for level in (0, 128, 255)]
    text, width, height = strip_jpeg([*frames, np.full((40, 60), 77, np.uint8)], 30)
    strip = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (width, height) == (120, 20) == strip.shape[1::-1]
    for place, colour in enumerate([(0, 0, 255), (128, 0, 127), (255, 0, 0), (77, 77, 77)]):
        assert np.abs(strip[10, 15 + 30 * place].astype(int) - colour).max() < 12
