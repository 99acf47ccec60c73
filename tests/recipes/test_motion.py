import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kinema.datasets.annotations import Split, read_split
from kinema.datasets.synthetic import render_motion_clip
from kinema.errors import ConfigError, SampleValueError
from kinema.evaluation.intervals import accuracy_interval
from kinema.evaluation.paired import compare_hits
from kinema.inference import VideoRecognizer
from kinema.models import Recognizer2D, Recognizer3D
from kinema.models.heads import I3DHead, TSMHead, TSNHead
from kinema.recipes.evaluation import Evaluation, evaluate
from kinema.recipes.motion import FRAME_ORDERS, MotionShare, ReorderFrames, frames_in_order, motion_share
from kinema.video import write_video

CLASSES = ("sliding_left", "sliding_right")
PIPELINE = [
    dict(type="OpenVideo"),
    dict(type="SampleFrames", clip_len=4, frame_interval=1, num_clips=2, test_mode=True),
    dict(type="DecodeVideo"),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]
ANNOTATED = 12


class Velocity(nn.Module):
    """(B, 3, T, H, W) -> (B, 1, 1, 1, 1): by how many pixels a frame everything moves to the right.

    Least squares over all pixels. Source: Lucas and Kanade 1981.
    """

    out_channels = 1

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(dim=1)
        across = (grey[:, :, :, 2:] - grey[:, :, :, :-2])[:, :-1] / 2
        later = (grey[:, 1:] - grey[:, :-1])[..., 1:-1]
        moved = -(across * later).sum(dim=(1, 2, 3)) / across.square().sum(dim=(1, 2, 3))
        return moved[:, None, None, None, None]


def recognizer_of(backbone: nn.Module, pipeline: list[dict] = PIPELINE) -> VideoRecognizer:
    """One that needs no training: the sign of the only feature is the class."""
    head = I3DHead(2, 1, dropout_ratio=0, average_clips="score")
    with torch.no_grad():
        head.fc_cls.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        head.fc_cls.bias.copy_(torch.tensor([1e-6, 0.0]))  # what stands still is the first class
    preprocessor = dict(type="ActionDataPreprocessor", format_shape="NCTHW")
    return VideoRecognizer(Recognizer3D(backbone, head, data_preprocessor=preprocessor), CLASSES, pipeline)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Made clips of two directions, alike in every single frame; the last file is broken."""
    folder = tmp_path_factory.mktemp("motion")
    lines = []
    for number in range(ANNOTATED):
        name = f"{number:02d}.mp4"
        frames = render_motion_clip(CLASSES[number % 2], np.random.default_rng(number), size=(48, 48), num_frames=16)
        write_video(folder / name, frames, 10)
        lines.append(f"{name} {number % 2}\n")
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "list.txt").write_text("".join(lines))
    (folder / "all.txt").write_text("".join([*lines, "broken.mp4 0\n"]))
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return read_split(folder / "list.txt")


def test_a_model_of_motion_alone_is_at_chance_on_one_frame_and_wrong_backwards(split: Split) -> None:
    share = motion_share(recognizer_of(Velocity()), split, workers=0)
    assert share.unchanged.value == 1
    assert share.one_frame.value == share.chance == 0.5
    assert share.reversed.value == 0
    assert 0 < share.shuffled.value < 1
    assert (share.points("one_frame"), share.points("reversed")) == (50, 100)
    assert (share.is_certain("one_frame"), share.is_certain("reversed")) == (True, True)
    assert share.losses["reversed"].only_first == share.unchanged.num_clips == ANNOTATED
    assert share.sentence.startswith("Of 100% accuracy on 12 clips, 50 points need more than one frame, ")
    assert share.sentence.endswith(", and the direction of time matters for 100 points.")
    value = json.loads(json.dumps(share.to_dict()))
    assert value["one_frame"]["accuracy"] == value["chance"] == 0.5
    assert value["points_lost"]["reversed"] == 100
    assert value["p_values"]["reversed"] == 2 / 2**ANNOTATED
    assert value["sentence"] == share.sentence


def test_an_evaluation_that_is_there_is_not_repeated_and_broken_clips_are_left_out(split: Split) -> None:
    recognizer, everything = recognizer_of(Velocity()), read_split(split.path.with_name("all.txt"))
    unchanged = evaluate(recognizer, everything, workers=0, allow_broken=True)
    share = motion_share(recognizer, everything, workers=0, allow_broken=True, unchanged=unchanged)
    again = motion_share(recognizer, split, workers=0)
    assert share.to_dict() == again.to_dict()
    other = motion_share(recognizer, split, workers=0, seed=5, unchanged=unchanged)
    assert other.reversed == share.reversed


def test_several_labels_a_clip_are_refused(split: Split) -> None:
    recognizer, message = recognizer_of(Velocity()), "how much of the accuracy is motion is measured where each clip"
    with pytest.raises(ConfigError, match=f"clips: {message} has one label and one score a class"):
        motion_share(recognizer, split, unchanged=Evaluation({}, 1, source="clips"))
    recognizer.model.cls_head.multi_class = True
    with pytest.raises(ConfigError, match=f"the model: {message}"):
        motion_share(recognizer, split)


def reordered(order: str, frames: list[int], clip_len: int, **options: object) -> list[int]:
    sample = {"frame_inds": np.array(frames), "clip_len": clip_len, "sample_idx": 3}
    result: list[int] = ReorderFrames(order, **options)(sample)["frame_inds"].tolist()  # type: ignore[arg-type]
    return result


def test_frames_stay_in_their_clips() -> None:
    frames = [0, 2, 4, 6, 10, 12, 14, 16]
    assert reordered("one_frame", frames, 4) == [4] * 4 + [14] * 4
    assert reordered("reversed", frames, 4) == [6, 4, 2, 0, 16, 14, 12, 10]
    shuffled = reordered("shuffled", frames, 4)
    assert sorted(shuffled[:4]) == frames[:4] != shuffled[:4]
    assert sorted(shuffled[4:]) == frames[4:] != shuffled[4:]
    # Single frames of the whole video are one clip, or as many as the model joins.
    assert reordered("reversed", frames, 1, segments=True) == frames[::-1]
    assert reordered("one_frame", frames, 1, segments=True, together=4) == [4] * 4 + [14] * 4
    assert reordered("shuffled", [5, 5], 2) == [5, 5]
    assert reordered("shuffled", [5, 6], 2) == [6, 5]


def test_a_shuffled_order_depends_on_the_seed_and_the_clip_alone() -> None:
    frames = list(range(16))
    first = reordered("shuffled", frames, 16)
    np.random.seed(1)
    assert reordered("shuffled", frames, 16) == first
    assert reordered("shuffled", frames, 16, seed=1) != first
    other = {"frame_inds": np.array(frames), "clip_len": 16, "sample_idx": 4}
    assert ReorderFrames("shuffled")(other)["frame_inds"].tolist() != first


def test_frames_are_reordered_before_they_are_decoded() -> None:
    def names(recognizer: VideoRecognizer) -> list[str]:
        steps = frames_in_order(recognizer, "reversed", seed=2)(list(recognizer.pipeline))
        return [repr(step) if isinstance(step, ReorderFrames) else step["type"] for step in steps]

    clips = recognizer_of(Velocity())
    assert names(clips)[1:4] == ["SampleFrames", "ReorderFrames(order='reversed', seed=2)", "DecodeVideo"]
    segments = [dict(type="RawFrameDecode"), dict(type="FormatShape", input_format="NCHW")]
    for head, together in ((TSMHead(2, 3, num_segments=4), 4), (TSNHead(2, 3), None)):
        backbone = nn.Conv2d(3, 3, 1)
        recognizer = VideoRecognizer(Recognizer2D(backbone, head), CLASSES, segments)
        step = frames_in_order(recognizer, "shuffled")(recognizer.pipeline)[0]
        assert (step.segments, step.together) == (True, together)
    undecoded = recognizer_of(Velocity(), [dict(type="FormatShape", input_format="NCTHW")])
    with pytest.raises(ConfigError, match="the model: its pipeline decodes no frames, whose order could be changed"):
        frames_in_order(undecoded, "reversed")(undecoded.pipeline)


def test_wrong_orders_and_clips_are_named() -> None:
    with pytest.raises(ValueError, match="order must be one of shuffled, reversed, one_frame, got 'sorted'"):
        ReorderFrames("sorted")  # type: ignore[arg-type]
    with pytest.raises(SampleValueError, match=r"3 frames are not clips of 2 \(a\.mp4\)"):
        ReorderFrames("reversed")({"frame_inds": np.arange(3), "clip_len": 2, "filename": "a.mp4"})
    with pytest.raises(SampleValueError, match="4 frames are not clips of {'RGB': 2}"):
        ReorderFrames("reversed")({"frame_inds": np.arange(4), "clip_len": {"RGB": 2}})


def share_of(unchanged: list[bool], **changed: list[bool]) -> MotionShare:
    losses = {order: compare_hits(unchanged, changed.get(order, unchanged)) for order in FRAME_ORDERS}
    intervals = {order: accuracy_interval(changed.get(order, unchanged)) for order in FRAME_ORDERS}
    return MotionShare(unchanged=accuracy_interval(unchanged), losses=losses, chance=0.5, **intervals)


def test_the_sentence_claims_no_more_than_the_clips_show() -> None:
    right = [True] * 18 + [False] * 2
    assert share_of(right).sentence == (
        "Of 90% accuracy on 20 clips, no points need more than one frame, no points need the order of the frames, and"
        " the direction of time matters for no points."
    )
    some = share_of(right, one_frame=[True] * 6 + [False] * 14, shuffled=[False] * 2 + right[2:])
    assert "60 points need more than one frame, 10 points (which may be chance) need the order" in some.sentence
    odd = share_of([True] * 99 + [False], reversed=[True] * 98 + [False] * 2).sentence
    assert odd.endswith("the direction of time matters for 1 point (which may be chance).")
    better = share_of([False] * 10 + [True] * 10, reversed=[True] * 20).sentence
    assert better.endswith("the direction of time matters for no points (50 more are right without).")
