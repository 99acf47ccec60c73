"""Motion vectors: where the blocks of compressed pictures come from, as the decoder exports them."""

from collections.abc import Sequence

import numpy as np
from av import FFmpegError
from av.video.frame import VideoFrame

from kinema.errors import VideoError
from kinema.video.limits import VideoLimits
from kinema.video.source import VideoSource, decoder_limits, open_video, reason_of, watch_of

_BYTES = np.iinfo(np.int8)


def decode_motion(source: VideoSource, numbers: Sequence[int], limits: VideoLimits | None = None) -> np.ndarray:
    """How far the pixels of some frames are from those that they were predicted from.

    The video is decoded from its start. Frames are not turned as the file's metadata says.

    Args:
        source: what `VideoReader` takes, a file.
        numbers: (N,) of the frames, in any order.
        limits: what the file may ask for; None for `default_limits()`.

    Returns:
        (N, H, W, 2) int8, across and down, in pixels; see `motion_field`.

    Raises:
        VideoError: there is no such file, it is no video, or a frame cannot be decoded.
    """
    watch = watch_of(source, limits)
    wanted, fields = set(numbers), {}
    container, stream = open_video(source, watch=watch)
    with container:
        context = stream.codec_context
        context.thread_type = "NONE"
        context.options = {"flags2": "+export_mvs", **decoder_limits(watch.limits)}
        watch.check_memory(len(numbers), context.height, context.width, channels=2)
        try:
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    fields[number] = _field_of(frame)
                if len(fields) == len(wanted):
                    break
        except FFmpegError as error:
            raise VideoError(f"{watch.name}: cannot be decoded ({reason_of(error)})") from error
    if missing := sorted(wanted - fields.keys()):
        raise VideoError(f"{watch.name}: the decoder puts out no frame {missing[0]}")
    return np.stack([fields[number] for number in numbers])


def _field_of(frame: VideoFrame) -> np.ndarray:
    data = frame.side_data.get("MOTION_VECTORS")
    if data is None or not len(data):  # a key frame, or a codec whose decoder exports none
        return np.zeros((frame.height, frame.width, 2), np.int8)
    return motion_field(data.to_ndarray(), frame.height, frame.width)


def motion_field(vectors: np.ndarray, height: int, width: int) -> np.ndarray:
    """Motion vectors of blocks as a value for each pixel.

    Of blocks that overlap, the last has its way. Blocks that reach the right or lower edge of the
    frame, or lie outside of it, are left out, as in MMAction2.

    Args:
        vectors: (M,) of FFmpeg's records: `w`, `h`, size of a block; `dst_x`, `dst_y`, its middle;
            `src_x`, `src_y`, the middle of what it was predicted from.
        height: H of the frame, in pixels.
        width: W.

    Returns:
        (H, W, 2) int8, destination minus source, across and down; 0 where there is no block. Longer
        ones than int8 holds are cut off there.
    """
    fields = ("w", "h", "dst_x", "dst_y", "src_x", "src_y")
    across, down, x, y, from_x, from_y = (vectors[name].astype(np.int64) for name in fields)
    left, top = x - across // 2, y - down // 2
    inside = (left >= 0) & (top >= 0) & (left + across < width) & (top + down < height)
    last = np.full((height, width), -1)  # the block that a pixel has its value of
    for block_width, block_height in np.unique(np.stack([across, down], 1)[inside], axis=0).tolist():
        blocks = np.flatnonzero(inside & (across == block_width) & (down == block_height))
        rows = top[blocks, None, None] + np.arange(block_height)[:, None]
        columns = left[blocks, None, None] + np.arange(block_width)
        of_size = np.full_like(last, -1)
        of_size[rows, columns] = blocks[:, None, None]
        np.maximum(last, of_size, out=last)
    moved = np.stack([x - from_x, y - from_y], axis=1).clip(_BYTES.min, _BYTES.max).astype(np.int8)
    return np.where((last >= 0)[..., None], moved[last], np.int8(0))
