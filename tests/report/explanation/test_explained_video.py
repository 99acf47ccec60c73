from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinema.errors import ConfigError, VideoError
from kinema.inference import VideoRecognizer
from kinema.models import create_model
from kinema.models.zoo import card
from kinema.models.zoo.creation import video_pipeline
from kinema.report.explanation import Explanation, GradCam, Moment, Saliency, explain_video
from kinema.report.explanation.overlay import beside, overlay
from kinema.transforms import BaseTransform
from kinema.transforms.base import Sample
from small_clips import pipeline_of_small_clips

CLIPS = pipeline_of_small_clips()


@pytest.fixture(scope="module")
def recognizer() -> VideoRecognizer:
    torch.manual_seed(0)
    model = create_model("compact3d", num_classes=3)
    torch.nn.init.uniform_(model.cls_head.fc_cls.weight)  # above 0: every class finds something
    return VideoRecognizer(model, ["jump", "run", "sit"], CLIPS)


class Corner:
    """An explainer that finds the upper left of the second frame of each view."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[int, ...], int]] = []

    def explain(self, inputs: torch.Tensor, target: int) -> Saliency:
        self.asked.append((tuple(inputs.shape), target))
        maps = np.zeros((inputs.shape[1], inputs.shape[3], *inputs.shape[-2:]), np.float32)
        maps[:, 1, :16, :16] = 1
        return Saliency(maps, 0.5, "corner")


def test_an_explanation_has_the_frames_that_the_model_saw_and_where_they_are(recognizer, make_video, grey_level):
    video = make_video(size=(72, 48), fps=10)
    prediction = recognizer.predict(video)
    explanation = explain_video(recognizer, video)
    assert (explanation.label, explanation.score) == (prediction.label, pytest.approx(prediction.score, abs=1e-6))
    assert (explanation.video, explanation.layer) == (str(video), "backbone")
    assert explanation.frames.shape == (1, 4, 32, 32, 3)
    assert explanation.maps.shape == (1, 4, 32, 32)
    assert explanation.maps.max() == 1
    numbers = explanation.frame_numbers[0]
    assert np.diff(numbers).tolist() == [2, 2, 2]
    levels = [grey_level(int(number)) for number in numbers]
    assert explanation.frames.mean(axis=(0, 2, 3, 4)) == pytest.approx(levels, abs=2)
    assert explanation.times_seconds == pytest.approx(explanation.frame_numbers / 10)
    assert explanation.over_time.sum() == pytest.approx(1)
    assert explanation.fps == pytest.approx(5)
    # Resized from 72x48 to 54x36, of which the middle 32x32 is left.
    assert explanation.frame_shape == (48, 72)
    assert explanation.boxes[0, 3] == pytest.approx([11 * 72 / 54, 2 * 48 / 36, 43 * 72 / 54, 34 * 48 / 36])
    whole = explanation.on_video(0, 3)
    assert whole.shape == (48, 72)
    assert whole[:, :14].max() == whole[:2].max() == 0
    assert whole.max() > 0
    assert (
        repr(explanation)
        == f"Explanation({str(video)!r}: {prediction.label} {prediction.score:.3f}, 1 x 4 frames, backbone)"
    )


def test_views_of_several_clips_and_crops_are_explained_each_at_its_place(recognizer, make_video):
    video, explainer = make_video(size=(96, 48), num_frames=40), Corner()
    explanation = explain_video(recognizer, video, class_name="sit", views="2x3", explainer=explainer)
    assert explainer.asked == [((1, 6, 3, 4, 32, 32), 2)]
    assert (explanation.label, explanation.layer) == ("sit", "corner")
    assert explanation.maps.shape == (6, 4, 32, 32)
    assert np.array_equal(explanation.times_seconds[:2], explanation.times_seconds[2:4])
    assert explanation.times_seconds[1, 0] > explanation.times_seconds[0, 3]
    assert explanation.boxes[:, 0, 0].tolist() == [0, 0, 48, 48, 24, 24]
    assert explanation.over_time == pytest.approx(np.tile([0, 1 / 6, 0, 0], (6, 1)))
    first, second = explanation.moments()
    assert first.share == second.share == pytest.approx(0.5)
    seconds = explanation.times_seconds[0]
    assert first == Moment(seconds[1], pytest.approx(seconds[2]), pytest.approx(0.5))
    assert str(Moment(1.23, 1.9, 0.456)) == "1.2-1.9 s (46%)"
    assert len(explanation.moments(count=1)) == 1
    # Pictures stand one below the other: the frame, the overlay, and a bar that is full at the second frame.
    pictures = explanation.pictures(height=60)
    assert pictures.shape == (24, 70, 120, 3)
    assert pictures[0, 63, 31:58, 0].min() > pictures[0, 63, :28, 0].max()
    painted = explanation.overlay()
    assert np.array_equal(painted[:, 0], explanation.frames[:, 0])
    assert np.array_equal(painted[:, 1, 20:], explanation.frames[:, 1, 20:])
    assert (painted[:, 1, :16, :16] != explanation.frames[:, 1, :16, :16]).any(axis=-1).all()


def test_frames_of_segments_are_explained(make_video):
    torch.manual_seed(0)
    model = create_model("tsm_mobilenetv2", num_classes=2)
    torch.nn.init.uniform_(model.cls_head.fc_cls.weight)
    pipeline = [
        {**step, "scale": (-1, 64)} if step["type"] == "Resize" else step
        for step in video_pipeline(card("tsm_mobilenetv2"))
    ]
    pipeline = [{**step, "crop_size": 64} if step["type"] == "CenterCrop" else step for step in pipeline]
    recognizer = VideoRecognizer(model, (), pipeline)
    frames = np.random.default_rng(0).integers(0, 255, (32, 64, 80, 3), dtype=np.uint8)
    explanation = explain_video(recognizer, frames, class_name="1", views="2x1", fps=8)
    assert explanation.label == "1"
    assert explanation.maps.shape == (1, 16, 64, 64)  # the middles and the beginnings of eight parts
    assert explanation.maps.max() == 1
    assert np.array_equal(explanation.frames[0, 0], frames[explanation.frame_numbers[0, 0], :, 8:72])
    assert explanation.times_seconds == pytest.approx(explanation.frame_numbers / 8)
    timeless = explain_video(recognizer, frames)
    assert timeless.times_seconds is None
    assert timeless.moments() == []
    assert timeless.fps == 5


def test_several_threads_explain_and_predict_with_one_recognizer(recognizer, make_video):
    video = make_video()
    expected, scores = explain_video(recognizer, video, class_name="run"), recognizer.scores(video)

    def work(number: int) -> bool:
        if number % 2:
            return torch.equal(recognizer.scores(video), scores)
        return np.array_equal(explain_video(recognizer, video, class_name="run").maps, expected.maps)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(12)))


def test_a_class_that_nothing_speaks_for_has_empty_maps(recognizer, make_video):
    model = create_model("compact3d", num_classes=3)
    torch.nn.init.constant_(model.cls_head.fc_cls.weight, -1.0)
    explanation = explain_video(VideoRecognizer(model, recognizer.classes, CLIPS), make_video())
    assert not explanation.maps.any()
    assert not explanation.over_time.any()
    assert explanation.moments() == []
    assert np.array_equal(explanation.overlay(), explanation.frames)
    assert explanation.pictures().shape[0] == 4


def test_what_cannot_be_explained_is_named(recognizer, make_video, tmp_path):
    with pytest.raises(ConfigError, match=r"the model: has no class 'runs': did you mean run\?"):
        explain_video(recognizer, make_video(), class_name="runs")
    with pytest.raises(ConfigError, match="the model: has no class 'xyz': it has jump, run, sit"):
        explain_video(recognizer, make_video(), class_name="xyz")
    with pytest.raises(VideoError, match=f"{tmp_path / 'absent.mp4'}: no such file"):
        explain_video(recognizer, tmp_path / "absent.mp4")
    with pytest.raises(ConfigError, match="has no backbone"):
        GradCam(torch.nn.Identity())


class Normalised(BaseTransform):
    def __init__(self) -> None:
        self.mean, self.std = np.float32([100, 110, 120]), np.float32([50, 60, 70])

    def transform(self, results: Sample) -> Sample:
        results["imgs"] = (np.asarray(results["imgs"], np.float32) - self.mean) / self.std
        return results


def test_normalised_frames_are_shown_as_they_were(recognizer, make_video, grey_level):
    pipeline = [*CLIPS[:5], dict(type=Normalised), *CLIPS[5:]]
    explanation = explain_video(VideoRecognizer(recognizer.model, recognizer.classes, pipeline), make_video())
    first = grey_level(int(explanation.frame_numbers[0, 0]))
    assert explanation.frames.dtype == np.uint8
    assert explanation.frames[0, 0].mean(axis=(0, 1)) == pytest.approx([first] * 3, abs=2)


def test_overlays_keep_the_form_of_the_frames():
    frames, maps = np.zeros((2, 3, 8, 10, 3), np.uint8), np.ones((2, 3, 8, 10), np.float32)
    assert overlay(frames, maps).shape == frames.shape
    assert overlay(frames, maps).min() > 0
    assert beside(frames[0], maps[0], np.full(3, 1 / 3), height=24, aspect=2).shape == (3, 28, 96, 3)


def test_clips_far_apart_make_moments_of_their_own():
    times = np.array([[0.0, 0.1, 0.2], [7.0, 7.1, 7.2]])
    maps = np.ones((2, 3, 2, 2), np.float32)
    maps[1] /= 1.5
    frames = np.zeros((2, 3, 2, 2, 3), np.uint8)
    explanation = Explanation(
        "a.mp4", "run", 1.0, frames, maps, (times * 10).astype(int), times, np.zeros((2, 3, 4)), (2, 2), "layer"
    )
    assert [str(moment) for moment in explanation.moments()] == ["0.0-0.3 s (60%)", "7.0-7.3 s (40%)"]
    ended = replace(explanation, end_seconds=7.25).moments()
    assert [moment.end_seconds for moment in ended] == pytest.approx([0.3, 7.25])
