"""Streams of a model that carries its state: the scores of pieces are those of the whole."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import kinema
from command_line import kinema as command
from kinema.errors import ConfigError
from kinema.inference import VideoRecognizer
from kinema.inference.stream import Stream
from kinema.inference.stream.carried import CarriedEngine
from kinema.models import Recognizer3D, create_model
from kinema.models.layers.carried_state import CarriedState
from kinema.registry import MODELS
from kinema.video import write_video
from small_clips import pipeline_of_small_clips

CLASSES = ("jump", "run", "sit")
MODEL = {
    "type": "Recognizer3D",
    "backbone": {
        "type": "MoViNet",
        "arch": {"stem": 8, "stages": [{"width": 16, "expanded": [24, 24], "kernels": ["533", "333"]}], "head": 16},
        "causal": True,
    },
    "cls_head": {
        "type": "MoViNetHead",
        "num_classes": 3,
        "in_channels": 16,
        "hidden_channels": 16,
        "planar": True,
        "average_clips": "prob",
    },
    "data_preprocessor": {"type": "ActionDataPreprocessor", "mean": [0] * 3, "std": [255] * 3, "format_shape": "NCTHW"},
}
FPS = 10.0
STEP = 0.2  # every second frame is seen


def streaming_model() -> Recognizer3D:
    torch.manual_seed(0)
    model = MODELS.build(MODEL)
    model.init_weights()
    with torch.no_grad():  # scores that differ from frame to frame
        for block in model.backbone.blocks.values():
            block.alpha.fill_(1)
        for parameter in model.cls_head.parameters():
            parameter.normal_(std=1)
    return model.eval()


@pytest.fixture(scope="module")
def recognizer() -> VideoRecognizer:
    return VideoRecognizer(streaming_model(), CLASSES, pipeline_of_small_clips())


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Of a light that goes on and off."""
    noise = np.random.default_rng(0).integers(0, 255, (29, 36, 36, 3), np.uint8)
    return noise // np.array([1, 9, 3])[np.arange(29) // 5 % 3, None, None, None].astype(np.uint8)


def whole(recognizer: VideoRecognizer, frames: np.ndarray) -> np.ndarray:
    """Scores of a clip of these frames, computed at once."""
    clip = torch.from_numpy(frames[:, 2:34, 2:34]).permute(3, 0, 1, 2)[None, None].float() / 255
    with torch.no_grad():
        (sample,) = recognizer.model(clip, mode="predict")
    return sample.pred_score.numpy()


def test_scores_after_each_frame_are_those_of_the_whole_so_far(recognizer: VideoRecognizer, frames: np.ndarray) -> None:
    stream = Stream(recognizer, length_seconds=60.0, fps=FPS)
    assert (stream.carries_state, stream.stride_seconds) == (True, pytest.approx(STEP))
    updates = [stream.push(frame, 5 + number / FPS) for number, frame in enumerate(frames)]
    assert [len(update.windows) for update in updates] == [1, 0] * 14 + [1]
    for number in range(0, 29, 2):
        (window,) = updates[number].windows
        assert (window.start_seconds, window.end_seconds) == pytest.approx((5 + number / 10, 5.2 + number / 10))
        np.testing.assert_allclose(window.scores, whole(recognizer, frames[: number + 1 : 2]), atol=1e-5)
    assert np.ptp([update.windows[0].scores[0] for update in updates[::2]]) > 0.01
    assert not stream.finish().windows


@pytest.mark.parametrize("stride", [0.4, 1.0])
def test_scores_may_be_given_less_often(recognizer: VideoRecognizer, frames: np.ndarray, stride: float) -> None:
    engine = CarriedEngine(recognizer, length_seconds=60.0, stride_seconds=stride, fps=FPS)
    windows = [window for number, frame in enumerate(frames) for window in engine.push(frame, number / FPS)]
    windows += engine.finish()
    starts = [window.start_seconds for window in windows]
    assert starts == pytest.approx(np.arange(len(windows)) * stride)
    assert [window.end_seconds for window in windows[:-1]] == pytest.approx(starts[1:])
    for window in windows:
        seen = frames[: window.stop_frame : 2]
        np.testing.assert_allclose(window.scores, whole(recognizer, seen), atol=1e-5)
    assert windows[-1].stop_frame == 29


def test_the_state_is_forgotten_after_the_length_of_a_window(recognizer: VideoRecognizer, frames: np.ndarray) -> None:
    engine = CarriedEngine(recognizer, length_seconds=1.2, fps=FPS)
    windows = [window for number, frame in enumerate(frames) for window in engine.push(frame, number / FPS)]
    for number, window in enumerate(windows):  # states begin every 3 frames that are seen
        first = max(0, number // 3 * 3 - 3)
        np.testing.assert_allclose(window.scores, whole(recognizer, frames[2 * first : 2 * number + 1 : 2]), atol=1e-5)


def test_a_cut_begins_a_new_state_and_streams_do_not_mix(recognizer: VideoRecognizer, frames: np.ndarray) -> None:
    first, second = (Stream(recognizer, length_seconds=60.0, fps=FPS) for _ in range(2))
    for number in range(0, 8, 2):
        one = first.push(frames[number], number / FPS)
        other = second.push(frames[number + 10], number / FPS)
    np.testing.assert_allclose(one.windows[0].scores, whole(recognizer, frames[0:8:2]), atol=1e-5)
    np.testing.assert_allclose(other.windows[0].scores, whole(recognizer, frames[10:18:2]), atol=1e-5)
    assert first.cut().present == ()
    (window,) = first.push(frames[20], 2.0).windows
    np.testing.assert_allclose(window.scores, whole(recognizer, frames[20:21]), atol=1e-5)


def test_frames_of_uneven_times_are_seen_when_they_are_due(recognizer: VideoRecognizer, frames: np.ndarray) -> None:
    times = [0.0, 0.09, 0.21, 0.3, 0.39, 0.5, 1.5, 1.6, 1.7]
    engine = CarriedEngine(recognizer, length_seconds=60.0, fps=FPS)
    windows = [window for time, frame in zip(times, frames, strict=False) for window in engine.push(frame, time)]
    assert [window.start_seconds for window in windows] == [0.0, 0.21, 0.5, 1.5, 1.7]


def test_a_file_on_the_command_line(tmp_path: Path, recognizer: VideoRecognizer, frames: np.ndarray) -> None:
    model = streaming_model()
    model.save_pretrained(tmp_path / "model", classes=CLASSES, pipeline=pipeline_of_small_clips(), model=MODEL)
    clip = write_video(tmp_path / "clip.mp4", frames, FPS)
    ran = command("stream", tmp_path / "model", clip, "--json", "--windows", "--window", "9")
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    windows = [line for line in lines if line["type"] == "window"]
    assert (lines[0]["length_seconds"], lines[0]["stride_seconds"]) == (9.0, pytest.approx(STEP))
    assert len(windows) == 15
    with kinema.VideoReader(clip) as reader:
        decoded = np.stack(list(reader))
    expected = whole(recognizer, decoded[::2])
    assert list(windows[-1]["scores"].values()) == pytest.approx(expected, abs=1e-5)
    ran = command("stream", tmp_path / "model", clip)
    assert "scores every 0.2 s, of up to 0.8 s; Ctrl-C ends it" in ran.stderr
    assert Stream(recognizer, views="1x1", fps=FPS).stride_seconds == pytest.approx(0.4)  # by windows


def test_what_does_not_fit_is_refused(recognizer: VideoRecognizer, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="length_seconds must be at least 0.4, two of the steps .* got 0.3"):
        CarriedEngine(recognizer, length_seconds=0.3, fps=FPS)
    with pytest.raises(ValueError, match="stride_seconds must be from 0.2, the step .* to length_seconds, 1, got 2"):
        CarriedEngine(recognizer, length_seconds=1.0, stride_seconds=2.0, fps=FPS)
    stream = Stream(recognizer, fps=FPS)
    stream.push(frames[0], 1.0)
    with pytest.raises(ValueError, match="frames must come in the order of their times, got 0.5 s after 1 s"):
        stream.push(frames[1], 0.5)
    with pytest.raises(ValueError, match="the frame is 20x20, those before it 36x36"):
        stream.push(frames[1, :20, :20], 1.5)
    other = create_model("compact3d", num_classes=3)
    with pytest.raises(ConfigError, match="carries no state from piece to piece: that takes MoViNet with causal=True"):
        other.predict_piece(torch.zeros(1, 1, 3, 1, 32, 32), CarriedState())
