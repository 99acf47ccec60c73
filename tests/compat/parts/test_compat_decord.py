from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.compat.parts import decord_reader
from kinema.compat.parts.decord_reader import VideoReader, use_torch
from kinema.errors import NotYetError, VideoError


@pytest.fixture(autouse=True)
def _native_bridge() -> Iterator[None]:
    yield
    decord_reader.reset_bridge()


def levels(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean())) for frame in frames]


def test_frames_are_those_asked_for_in_that_order(make_video: Callable[..., Path], grey_level: Callable) -> None:
    reader = VideoReader(str(make_video(num_frames=12)), ctx=decord_reader.cpu(0), num_threads=1)
    assert len(reader) == 12
    assert reader.get_avg_fps() == 10
    batch = reader.get_batch(np.array([7, 0, 7, -1], dtype=np.int32)).asnumpy()
    assert type(batch) is np.ndarray
    assert batch.shape == (4, 48, 64, 3)
    assert levels(batch) == pytest.approx([grey_level(i) for i in (7, 0, 7, 11)], abs=2)
    assert reader[3].asnumpy().shape == (48, 64, 3)
    assert np.array_equal(reader[2:4].asnumpy(), reader.get_batch([2, 3]).asnumpy())
    assert len(list(reader)) == 12


def test_next_moves_on_from_where_seek_went(make_video: Callable[..., Path]) -> None:
    reader = VideoReader(make_video(num_frames=6))
    first = reader.next()
    assert np.array_equal(first, reader[0])
    reader.skip_frames(1)
    assert np.array_equal(reader.next(), reader[2])
    reader.seek(5)
    assert np.array_equal(reader.next(), reader[5])
    with pytest.raises(StopIteration):
        reader.next()
    with pytest.raises(IndexError, match="cannot seek to frame 6 of a video with 6 frames"):
        reader.seek_accurate(6)


def test_frames_can_be_made_in_another_size(make_video: Callable[..., Path], grey_level: Callable) -> None:
    path = make_video()
    assert VideoReader(path, width=32, height=16)[0].shape == (16, 32, 3)
    batch = VideoReader(path, height=16).get_batch([4]).asnumpy()
    assert batch.shape == (1, 16, 64, 3)
    assert levels(batch) == pytest.approx([grey_level(4)], abs=2)


def test_an_open_file_is_read_too(make_video: Callable[..., Path]) -> None:
    path = make_video()
    with path.open("rb") as file:
        assert np.array_equal(VideoReader(file, ctx=decord_reader.gpu(0))[5], VideoReader(path)[5])


def test_the_torch_bridge_gives_tensors(make_video: Callable[..., Path]) -> None:
    reader = VideoReader(make_video())
    expected = reader.get_batch([1, 2]).asnumpy()
    decord_reader.set_bridge("torch")
    batch = reader.get_batch([1, 2])
    assert isinstance(batch, torch.Tensor)
    assert np.array_equal(batch.numpy(), expected)
    with pytest.raises(NotYetError, match="decord bridge 'mxnet' is not in Kinema: 'native' and 'torch' are"):
        decord_reader.set_bridge("mxnet")


def test_what_is_not_there_is_named(make_video: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"missing\.mp4"):
        VideoReader(str(tmp_path / "missing.mp4"))
    reader = VideoReader(make_video())
    with pytest.raises(IndexError, match="there is no frame 20, the video has 20 frames"):
        reader[20]


@pytest.mark.usefixtures("shim")
def test_the_names_are_where_decord_has_them() -> None:
    import decord

    assert decord.VideoReader is VideoReader
    assert decord.cpu(0) == ("cpu", 0)
    decord.bridge.set_bridge("native")
    assert issubclass(decord.DECORDError, VideoError)


def test_key_frames_and_times_of_frames_are_told(make_video: Callable[..., Path]) -> None:
    options = {"x264-params": "bframes=0:keyint=5:scenecut=0"}
    reader = VideoReader(str(make_video(num_frames=12, options=options)))
    assert reader.get_key_indices() == [0, 5, 10]
    times = reader.get_frame_timestamp(range(12))
    assert (times.shape, times.dtype) == ((12, 2), np.float32)
    np.testing.assert_allclose(times[:, 0], np.arange(12) / 10, atol=1e-6)
    np.testing.assert_allclose(times[:, 1], np.arange(1, 13) / 10, atol=1e-6)
    np.testing.assert_allclose(reader.get_frame_timestamp(3), [0.3, 0.4], atol=1e-6)
    np.testing.assert_array_equal(reader.get_frame_timestamp(slice(2, 4)), times[2:4])
    np.testing.assert_array_equal(reader.get_frame_timestamp([-1, 0]), times[[-1, 0]])
    with pytest.raises(IndexError, match="12"):
        reader.get_frame_timestamp(12)


def test_tensors_are_given_inside_a_block(make_video):
    reader = VideoReader(str(make_video()))
    with use_torch():
        assert isinstance(reader[0], torch.Tensor)
    assert isinstance(reader[0], np.ndarray)


@pytest.mark.usefixtures("shim")
def test_decords_own_names_are_there():
    from decord import base, logging

    logging.set_level(logging.QUIET)
    assert (logging.QUIET, logging.ERROR, logging.CRITICAL) == (-8, 16, 8)
    assert issubclass(base.DECORDLimitReachedError, VideoError)
