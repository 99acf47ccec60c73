"""Damaged HEVC and VP8: what is not drawn is damage, whatever the memory of the picture held before."""

import random
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader, write_video
from kinema.video.coverage import Coverage

SMALL_BLOCKS = {"x265-params": "keyint=12:bframes=3:ctu=16:min-cu-size=8:log-level=none"}
MISSING = "parts of the picture are missing"


FORMS = ["yuv420p", "yuv420p10le", "yuv444p"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, moving_frames: list[np.ndarray]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("coverage")
    made = {
        form: write_video(
            folder / f"{form}.mp4", moving_frames, 25, codec="libx265", pixel_format=form, options=SMALL_BLOCKS
        )
        for form in FORMS
    }
    vp8 = {"g": "9", "cpu-used": "8", "lag-in-frames": "0"}
    return {**made, "vp8": write_video(folder / "vp8.webm", moving_frames, 25, codec="libvpx", options=vp8)}


def frame_or_error(reader: VideoReader, number: int) -> np.ndarray | str:
    try:
        return reader[number]
    except VideoError as error:
        return str(error)


@pytest.mark.parametrize("form", [*(pytest.param(form, marks=pytest.mark.slow) for form in FORMS), "vp8"])
def test_damaged_pictures_are_the_same_in_any_order_or_an_error(form: str, clips: dict[str, Path]) -> None:
    path = clips[form]
    with av.open(str(path)) as container:
        packets = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    num_missing = 0
    for seed in range(8):
        rng = random.Random(seed)
        content = bytearray(path.read_bytes())
        for place, size in rng.sample(packets, 8):
            first = size // 8 if form == "vp8" else size // 2
            content[place + rng.randrange(first, size)] ^= 1 << rng.randrange(8)
        in_order = VideoReader(bytes(content))
        expected = [frame_or_error(in_order, number) for number in range(40)]
        num_missing += sum(isinstance(one, str) and MISSING in one for one in expected)
        mixed, many = VideoReader(bytes(content)), VideoReader(bytes(content), num_threads=3)
        for number in rng.sample(range(40), 40):
            for reader in (mixed, many):
                found = frame_or_error(reader, number)
                if not isinstance(found, str) and not isinstance(expected[number], str):
                    assert np.array_equal(found, expected[number]), f"frame {number}, seed {seed}"
    assert num_missing > 0


@pytest.mark.parametrize("form", FORMS)
def test_a_mark_that_is_left_in_a_picture_is_found(form: str, clips: dict[str, Path]) -> None:
    coverage = Coverage()
    with av.open(str(clips[form])) as container:
        frames = list(container.decode(video=0))
    assert all(coverage.is_whole(frame) for frame in frames)
    for frame in frames:
        frame.make_writable()
        coverage.take(frame)
    coverage.give_back()
    assert not any(coverage.is_whole(frame) for frame in frames)


def test_new_memory_that_was_not_drawn_is_found_and_black_is_not_taken_for_it() -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    luma, blue, red = (np.frombuffer(plane, np.uint8).reshape(plane.height, -1) for plane in frame.planes)
    luma[:], blue[:], red[:] = 0, 128, 128  # black over the full range
    assert Coverage().is_whole(frame)
    blue[8:16, 16:24] = red[8:16, 16:24] = 0
    assert not Coverage().is_whole(frame)
