from dataclasses import replace

import numpy as np
import pytest
import torch

from kinema.errors import ConfigError
from kinema.inference import VideoRecognizer
from kinema.inference.views import (
    Looked,
    Views,
    Watcher,
    boxes_within,
    covered_share,
    parse_views,
    with_augmentation,
    with_views,
)
from kinema.models import create_model, zoo
from kinema.models.zoo.creation import video_pipeline
from kinema.transforms import Compose
from small_clips import pipeline_of_small_clips


def frames_of(pipeline, video):
    watcher = Watcher(with_times=True)
    watcher.run(Compose(pipeline).transforms, dict(filename=str(video), label=-1, start_index=0, modality="RGB"))
    return watcher


def small_pipeline(name):
    """The pipeline of a model of the zoo for frames of 64 pixels at most."""
    entry = zoo.card(name)
    size = min(entry.input.size, 64)
    return video_pipeline(replace(entry, input=replace(entry.input, size=size, short_side=size + 8)))


def test_views_are_clips_and_crops():
    assert parse_views("10x3") == Views(10, 3)
    assert str(parse_views(" 5 X 3 ")) == "5x3"
    for text in ("3", "0x1", "1x2", "x3", "10x3x1", "", "1001x1", "-1x3"):
        with pytest.raises(ValueError, match=r"views must be clips x crops, such as 1x1, 5x3, 10x3: .* got"):
            parse_views(text)


def test_clips_are_spread_over_the_video_and_crops_over_the_picture(make_video):
    video = make_video(num_frames=200, size=(160, 48))
    pipeline = pipeline_of_small_clips()
    one = frames_of(pipeline, video).looked()
    assert one.spans == ((96, 103),)
    assert str(one) == "9.6-10.3 of 20.0 s"
    assert one.unseen_seconds == pytest.approx(19.3)
    assert one.frame_share == pytest.approx(32 * 32 / (36 * 120))
    ten = frames_of(with_views(pipeline, Views(10, 3)), video)
    assert ten.looked().spans[0][0] == 0
    assert ten.looked().spans[-1][1] == 200
    assert len(ten.looked().spans) == 10
    assert str(ten.looked()) == "7.0 of 20.0 s, in 10 clips"
    assert ten.looked().frame_share == pytest.approx(3 * 32 * 32 / (32 * 107), rel=0.01)
    assert frames_of(with_views(pipeline, Views(1, 1)), video).looked() == one


def test_frames_that_are_seen_whole_need_no_crops(make_video):
    whole = video_pipeline(zoo.card("compact3d"), whole_frame=True)
    changed = with_views(whole, Views(3, 3))
    assert [step["type"] for step in changed] == [step["type"] for step in whole]
    watcher = frames_of(changed, make_video(num_frames=60, size=(160, 48)))
    assert watcher.looked().frame_share == 1


@pytest.mark.parametrize("name", zoo.names())
def test_every_model_of_the_zoo_has_the_named_views(name, make_video):
    card = zoo.card(name)
    if card.input.modality != "RGB":
        pytest.skip("takes no frames of a video")
    joined = None if card.input.format_shape == "NCTHW" else card.input.num_frames
    for views in ("1x1", "5x3", "10x3"):
        pipeline = with_views(video_pipeline(card), parse_views(views), joined_frames=joined)
        assert len(Compose(pipeline).transforms) == len(pipeline)
        crops = [step["type"] for step in pipeline if "Crop" in step["type"]]
        assert crops == ["CenterCrop" if views.endswith("x1") else "ThreeCrop"]


def test_segments_have_protocols_of_their_own():
    steps = [dict(type="SampleFrames", clip_len=1, num_clips=8), dict(type="FormatShape", input_format="NCHW")]
    assert with_views(steps, Views(10, 1), joined_frames=8)[0] == {**steps[0], "twice_sample": True}
    assert with_views(steps, Views(10, 1))[0]["num_clips"] == 25
    twice = [{**steps[0], "twice_sample": True}, steps[1]]
    assert with_views(twice, Views(1, 1), joined_frames=8) == steps


@pytest.mark.parametrize("name", ["compact3d", "tsm_mobilenetv2"])
def test_scores_of_views_are_the_mean_over_them(name, make_video):
    torch.manual_seed(0)
    model = create_model(name, num_classes=3)
    recognizer = VideoRecognizer(model, "abc", small_pipeline(name))
    video = make_video(num_frames=40, size=(96, 64))
    scores = recognizer.scores(video, views="2x3")
    recognizer.pipeline = recognizer.pipeline_of("2x3")
    recognizer._composed.clear()
    torch.testing.assert_close(scores, recognizer.scores(video))
    assert scores.sum().item() == pytest.approx(1)
    assert model.max_testing_views is None


def test_what_has_no_views_is_named():
    crop = dict(type="CenterCrop", crop_size=32)
    with pytest.raises(ConfigError, match="UntrimmedSampleFrames chooses frames in a way of its own"):
        with_views([dict(type="UntrimmedSampleFrames"), crop], Views(2, 1))
    with pytest.raises(ConfigError, match="three crops need a square crop_size"):
        with_views([dict(type="CenterCrop", crop_size=(32, 16))], Views(1, 3))
    assert with_views([dict(type="DenseSampleFrames", clip_len=4)], Views(3, 1))[0]["num_sample_positions"] == 3


def test_what_was_looked_at_reads_well():
    assert str(Looked(100, ((0, 100),), 25.0)) == "all of 4.0 s"
    assert str(Looked(100, ((10, 20),))) == "10-19 of 100 frames"
    assert str(Looked(100, ((0, 20), (50, 70)))) == "40 of 100 frames, in 2 clips"
    assert Looked(100, ((10, 20),)).unseen_seconds == 0
    assert Watcher().looked() is None
    assert covered_share(np.array([[0, 0, 4, 4], [2, 0, 6, 4]]), (4, 8)) == 0.75


def test_flips_come_after_the_crop_and_before_views_are_joined() -> None:
    steps = [{"type": "CenterCrop", "crop_size": 4}, {"type": "FormatShape", "input_format": "NCTHW"}]
    assert [step["type"] for step in with_augmentation(steps, "flip")] == ["CenterCrop", "MirroredViews", "FormatShape"]
    assert len(steps) == 2
    with pytest.raises(ValueError, match="tta must be one of flip, got 'rotate'"):
        with_augmentation(steps, "rotate")
    with pytest.raises(ConfigError, match="tta='flip': the pipeline has no FormatShape, which joins the views"):
        with_augmentation(steps[:1], "flip")


@pytest.mark.parametrize(
    ("name", "views"),
    [
        ("compact3d", None),
        ("compact3d", "2x3"),
        ("tsn_r18", None),
        pytest.param("tsn_r18", "2x3", marks=pytest.mark.slow),
    ],
)
def test_the_scores_of_a_clip_and_its_mirror_image_are_averaged(name, views):
    torch.manual_seed(0)
    recognizer = VideoRecognizer(create_model(name, num_classes=3), (), small_pipeline(name))
    frames = np.random.default_rng(0).integers(0, 256, (24, 64, 96, 3), dtype=np.uint8)
    frames[..., :48, :] //= 4  # both halves differ
    recognizer.model.cls_head.average_clips = "score"  # probabilities of an untrained network are 0 and 1, or all alike
    plain, mirrored = (recognizer.scores(video, views=views) for video in (frames, frames[:, :, ::-1].copy()))
    both = recognizer.scores(frames, views=views, tta="flip")
    spread = float((plain - mirrored).abs().max())
    assert spread > 0
    assert both.numpy() == pytest.approx(((plain + mirrored) / 2).numpy(), abs=0.05 * spread)
    assert recognizer.predict(frames, 1, views=views, tta="flip").score == pytest.approx(float(both.max()))


def test_what_crops_leave_is_known_in_pixels_of_the_video(make_video) -> None:
    pipeline = [
        dict(type="OpenVideo"),
        dict(type="SampleFrames", clip_len=2, frame_interval=3, test_mode=True),
        dict(type="DecodeVideo"),
        dict(type="Resize", scale=(-1, 32)),
    ]
    video = make_video(size=(128, 64), fps=10)
    assert frames_of(pipeline, video).boxes is None
    watcher = frames_of([*pipeline, dict(type="CenterCrop", crop_size=16), dict(type="Resize", scale=(8, 8))], video)
    assert watcher.original_shape == (64, 128)
    assert watcher.boxes.tolist() == [[48, 16, 80, 48]]
    assert watcher.times_seconds == pytest.approx(watcher.facts["frame_inds"] / 10)
    assert watcher.end_seconds == pytest.approx(2)
    three = frames_of([*pipeline, dict(type="ThreeCrop", crop_size=32)], video)
    assert three.boxes.tolist() == [[0, 0, 64, 64]] * 2 + [[64, 0, 128, 64]] * 2 + [[32, 0, 96, 64]] * 2
    twice = [*pipeline, dict(type="CenterCrop", crop_size=32), dict(type="TenCrop", crop_size=16)]
    assert frames_of(twice, video).boxes[-1].tolist() == [48, 16, 80, 48]
    assert boxes_within(three.boxes, (32, 32), np.array([[8, 0, 16, 16]]))[-1].tolist() == [48, 0, 64, 32]


def test_frames_without_a_file_are_timed_by_their_rate_alone() -> None:
    sample = dict(frame_inds=np.array([3, 5]), clip_len=2, total_frames=9, avg_fps=0.0, start_index=1)
    for fps, times in ((0.0, None), (4.0, [0.5, 1.0])):
        watcher = Watcher(with_times=True)
        watcher.run([lambda step: step], sample | {"avg_fps": fps})
        assert watcher.end_seconds == (None if times is None else 9 / 4)
        assert times == (None if watcher.times_seconds is None else watcher.times_seconds.tolist())
