"""Motion vectors of compressed videos."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.transforms import PyAVDecodeMotionVector, PyAVInit
from kinema.video import VideoReader
from kinema.video.motion import decode_motion, motion_field

FIELDS = ("w", "h", "src_x", "src_y", "dst_x", "dst_y")


@pytest.fixture(scope="module")
def moving_noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of 64 x 96 pixels: noise that moves 4 pixels to the right and 2 up from each to the next."""
    path = tmp_path_factory.mktemp("motion") / "noise.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (80, 130), dtype=np.uint8).repeat(3, 0).repeat(3, 1)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", 25, width=96, height=64, pix_fmt="yuv420p", bit_rate=4_000_000)
        for number in range(6):
            part = np.ascontiguousarray(noise[60 + 2 * number :, 60 - 4 * number :][:64, :96])
            frame = av.VideoFrame.from_ndarray(np.repeat(part[..., None], 3, axis=2), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def field_of(*blocks: tuple[int, ...]) -> np.ndarray:
    return motion_field(np.array(list(blocks), dtype=[(name, np.int32) for name in FIELDS]), height=16, width=20)


def test_a_block_writes_what_it_moved_by_into_its_pixels() -> None:
    field = field_of((8, 4, 5, 3, 6, 8))  # 8 x 4 pixels around (6, 8), from (5, 3)
    assert field.dtype == np.int8
    assert (field[6:10, 2:10] == (1, 5)).all()
    field[6:10, 2:10] = 0
    assert not field.any()


def test_the_last_of_blocks_that_overlap_has_its_way() -> None:
    field = field_of((4, 4, 3, 4, 4, 4), (8, 8, 2, 4, 4, 4), (4, 4, 1, 4, 4, 4))
    assert (field[4, 4].tolist(), field[0, 0].tolist()) == ([3, 0], [2, 0])


def test_blocks_at_the_right_and_lower_edge_or_outside_are_left_out() -> None:
    assert not field_of((8, 8, 0, 0, 16, 4), (8, 8, 0, 0, 4, 12), (8, 8, 0, 0, 3, 4), (8, 8, 0, 0, 4, 3)).any()
    assert field_of((8, 8, 0, 0, 15, 11))[7, 11].tolist() == [15, 11]


def test_long_vectors_end_at_the_limits_of_their_type() -> None:
    assert field_of((4, 4, 304, -296, 4, 4))[4, 4].tolist() == [-128, 127]


def test_the_transform_reads_the_motion_of_a_video(moving_noise: Path) -> None:
    sample = PyAVInit()({"filename": str(moving_noise)}) | {"frame_inds": np.array([[3, 0, 3]])}
    result = PyAVDecodeMotionVector()(sample)
    vectors = result["motion_vectors"]
    assert vectors.shape == (3, 64, 96, 2)
    assert result["video_reader"] is None
    assert result["frame_inds"].tolist() == [3, 0, 3]
    assert not vectors[1].any()  # a key frame
    assert np.median(vectors[0, 16:48, 16:64].reshape(-1, 2), axis=0).tolist() == [4, -2]
    assert (vectors[0] == vectors[2]).all()


def test_a_reader_gives_frames_after_motion_also_of_a_file_object(moving_noise: Path) -> None:
    frames = VideoReader(moving_noise).get_batch([1, 4])
    with VideoReader(io.BytesIO(moving_noise.read_bytes())) as reader:
        first = reader[1]
        assert reader.motion_vectors([2]).any()
        assert (np.stack([first, reader[4]]) == frames).all()
        with pytest.raises(IndexError, match="there is no frame 6, the video has 6 frames"):
            reader.motion_vectors([6])


def test_what_has_no_motion_is_refused(moving_noise: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="the decoder puts out no frame 9"):
        decode_motion(moving_noise, [9])
    with pytest.raises(ValueError, match="backend 'opencv' has no motion vectors: use backend='pyav'"):
        VideoReader(moving_noise, backend="opencv").motion_vectors([0])
    broken = tmp_path / "broken.mp4"
    content = bytearray(moving_noise.read_bytes())
    start = content.index(b"mdat") + 4
    content[start : start + 3000] = bytes(3000)
    broken.write_bytes(content)
    with pytest.raises(VideoError, match=r"broken\.mp4: cannot be decoded \("):
        decode_motion(broken, [3])
