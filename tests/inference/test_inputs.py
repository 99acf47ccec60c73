import io

import cv2
import numpy as np
import pytest
import torch

from kinema.errors import ConfigError, VideoError
from kinema.inference import VideoRecognizer
from kinema.inference.inputs import FramesInMemory, pipeline_of_frames, video_source
from kinema.models import create_model
from kinema.video import VideoReader, write_video
from small_clips import pipeline_of_small_clips

PIPELINE = pipeline_of_small_clips(num_clips=2)


@pytest.fixture(scope="module")
def recognizer():
    torch.manual_seed(0)
    return VideoRecognizer(create_model("compact3d", num_classes=3), ("jump", "run", "sit"), PIPELINE)


@pytest.fixture
def video(tmp_path):
    random = np.random.default_rng(0)
    frames = [cv2.resize(random.integers(0, 255, (6, 8, 3), np.uint8), (64, 48)) for _ in range(20)]
    return write_video(tmp_path / "video.mp4", frames, 10)


def test_every_kind_of_input_gives_the_scores_of_the_same_frames(recognizer, video, tmp_path):
    expected = recognizer.scores(video)
    with VideoReader(video) as reader:
        frames = reader.get_batch(np.arange(len(reader)))
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(frames, start=1):
        cv2.imwrite(str(folder / f"img_{number:05}.png"), frame[..., ::-1])
    content = video.read_bytes()
    file = video.open("rb")
    kinds = {
        "text": str(video),
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "BytesIO": io.BytesIO(content),
        "file": file,
        "array": frames,
        "read-only array": np.frombuffer(frames.tobytes(), np.uint8).reshape(frames.shape),
        "tensor": torch.from_numpy(frames),
        "channels first": torch.from_numpy(frames).permute(0, 3, 1, 2),
        "folder": folder,
    }
    for name, given in kinds.items():
        torch.testing.assert_close(recognizer.scores(given), expected, rtol=0, atol=1e-6, msg=name)
    assert recognizer.predict(file).path == str(video), "a file object can be given again, and has a name"
    file.close()
    several = recognizer.predict([video, content, frames])
    assert [one.label for one in several] == [recognizer.predict(video).label] * 3
    assert recognizer.scores([video, frames]).shape == (2, 3)


def test_a_pipeline_for_folders_of_frames_takes_videos_and_frames(recognizer, video):
    steps = [dict(type="RawFrameDecode") if step["type"] == "DecodeVideo" else step for step in PIPELINE[1:]]
    folders = VideoRecognizer(recognizer.model, recognizer.classes, steps)
    for given in (video, video.read_bytes()):
        torch.testing.assert_close(folders.scores(given), recognizer.scores(video), rtol=0, atol=1e-6)


def test_the_frame_rate_of_frames_counts_where_the_sampling_has_one(recognizer, video):
    steps = [{**step, "target_fps": 5} if step["type"] == "SampleFrames" else step for step in PIPELINE]
    timed = VideoRecognizer(recognizer.model, recognizer.classes, steps)
    with VideoReader(video) as reader:
        frames = reader.get_batch(np.arange(len(reader)))
    torch.testing.assert_close(timed.scores(frames, fps=10), timed.scores(video), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((4, 8, 8, 3)), TypeError, r"must be uint8 RGB.*got an array of float64: for values from 0 to 1"),
        (torch.zeros(4, 8, 8, 3), TypeError, r"must be uint8 RGB.*got a tensor of torch.float32"),
        (np.zeros((4, 8, 8, 3), np.int64), TypeError, "got an array of int64: convert it, with values from 0 to 255"),
        (np.zeros((8, 8, 3), np.uint8), ValueError, r"shape \(T, H, W, 3\).*got an array \(8, 8, 3\): one frame alone"),
        (np.zeros((4, 8, 8, 1), np.uint8), ValueError, r"got an array \(4, 8, 8, 1\)$"),
        (np.zeros((4, 3, 8, 8), np.uint8), ValueError, r"got an array \(4, 3, 8, 8\)$"),
        (np.zeros((0, 8, 8, 3), np.uint8), ValueError, "with at least one frame"),
        (np.zeros((2, 4, 8, 8, 3), np.uint8), ValueError, "give several videos as a list"),
        (b"", VideoError, "0 bytes of a video: is empty"),
        (io.BytesIO(), VideoError, "a BytesIO object: is empty"),
        (
            io.StringIO("x"),
            TypeError,
            "a StringIO object: reading it gives str, not bytes: open the file with mode 'rb'",
        ),
        (None, TypeError, "a video must be a path, .*; got NoneType"),
        (b"no video at all", VideoError, "15 bytes of a video"),
        ([np.zeros((8, 8, 3), np.uint8)] * 2, ValueError, r"2 single frames of shape \(8, 8, 3\).*np.stack"),
    ],
)
def test_what_is_no_video_is_one_clear_line(recognizer, given, error, message):
    with pytest.raises(error, match=message) as caught:
        recognizer.predict(given)
    assert "\n" not in str(caught.value)


def test_a_pipeline_without_frames_is_named():
    with pytest.raises(ConfigError, match="decodes no video frames, so it takes none: PackActionInputs"):
        pipeline_of_frames([dict(type="PackActionInputs")])


def test_frames_in_memory_are_not_changed():
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    source = video_source(frames)
    assert (source.is_open, source.sample["total_frames"]) == (True, 4)
    FramesInMemory(frames).get_batch(np.array([0, 1]))[:] = 7
    assert not frames.any()
