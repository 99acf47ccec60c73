"""Every real clip: the frames by number are those of a full sequential decode, bit for bit."""

from pathlib import Path

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader

SUFFIXES = {".avi", ".gif", ".mkv", ".mov", ".mp4", ".mpg", ".webm"}
CLIPS = Path(__file__).parents[2].parent / "shared" / "clips"
NAMES = sorted(
    path.relative_to(CLIPS).as_posix()
    for folder in ("formats", "kinetics_style")
    for path in (CLIPS / folder).glob("*")
    if path.suffix in SUFFIXES
)
# Files with damage: number of packets, number of good frames at the beginning. A plain decode fails
# before it has put out the last good one, which waits for its turn.
DAMAGED = {"formats/corrupted.mp4": (50, 29)}


def check_clip(path: Path, damaged: tuple[int, int] | None = None) -> None:
    rng = np.random.default_rng(0)
    with av.open(str(path)) as container:
        length = 0
        stream = container.streams.video[0]
        try:
            for _ in container.decode(stream):
                length += 1
        except av.FFmpegError:
            assert damaged is not None
    reader = VideoReader(path, rotate=False)
    assert len(reader) == (damaged[0] if damaged else length)
    wanted = np.concatenate([rng.integers(0, length, 12), [length - 1, 0]])
    expected = {}
    with av.open(str(path)) as container:
        for index, frame in zip(range(length), container.decode(video=0), strict=False):
            if index in wanted:
                expected[index] = frame.to_ndarray(format="rgb24")
    for index, frame in zip(wanted, reader.get_batch(wanted), strict=True):
        assert np.array_equal(frame, expected[index]), f"frame {index}"
    one = int(rng.choice(wanted))
    assert np.array_equal(reader[one], expected[one])
    if damaged:
        with pytest.raises(VideoError, match=f"of {len(reader)} frames the first {damaged[1]} are good"):
            reader[damaged[1]]


@pytest.mark.skipif(not NAMES, reason="no folder of shared clips")
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES or [""])
def test_frames_by_number_equal_a_full_decode(name: str) -> None:
    check_clip(CLIPS / name, DAMAGED.get(name))


@pytest.mark.slow
def test_frames_of_labelled_clips_equal_a_full_decode(shared_clips: Path) -> None:
    paths = [path for path in sorted((shared_clips / "labelled").rglob("*")) if path.suffix in SUFFIXES]
    assert paths
    for path in paths:
        check_clip(path)


def test_known_hard_files_have_the_length_of_a_full_decode(shared_clips: Path) -> None:
    hard = {
        "formats/baseball.mp4": 167,  # an edit list discards 16 of 183 packets
        "formats/basketball.mp4": 214,
        "formats/nasa_13013.mp4": 325,  # two video streams
        "formats/unordered.mov": 4,
        "formats/newtonscradle.gif": 36,
        "kinetics_style/v_ApplyEyeMakeup_g01_c01.avi": 164,  # two frames in one packet, an empty one after it
    }
    for name, length in hard.items():
        assert len(VideoReader(shared_clips / name)) == length, name
