"""The part of a video that a sample is about: which frames lie between two times."""

import numpy as np

from kinema.errors import VideoError
from kinema.transforms.base import Sample
from kinema.video import VideoReader

# Times are binary fractions of what files and people write as decimal ones.
ROUNDING_SECONDS = 1e-6


def frames_between(timestamps_seconds: np.ndarray, start_seconds: float, end_seconds: float) -> tuple[int, int]:
    """Frames that are shown at a time in [start, end), counted from the first frame's.

    Args:
        timestamps_seconds: (N,) ascending, when each frame is shown.
        start_seconds: NaN means the first frame.
        end_seconds: NaN means behind the last frame.

    Returns:
        The first frame, and the one behind the last; equal when there is none.
    """
    times = timestamps_seconds - timestamps_seconds[0] + ROUNDING_SECONDS
    first = 0 if np.isnan(start_seconds) else int(np.searchsorted(times, start_seconds))
    stop = len(times) if np.isnan(end_seconds) else int(np.searchsorted(times, end_seconds))
    return first, max(first, stop)


def choose_part(results: Sample, reader: VideoReader) -> tuple[int, int]:
    """The frames that a sample is about, by its `start_seconds` and `end_seconds`, or `start_frame` and `end_frame`.

    Args:
        results: the sample; without these keys it is about the whole video. NaN means the video's
            own start or end.
        reader: its video.

    Returns:
        The first frame, and the one behind the last.

    Raises:
        VideoError: no frame lies in that part.
    """
    count = len(reader)
    if "start_seconds" in results or "end_seconds" in results:
        start, end, unit = results.get("start_seconds", np.nan), results.get("end_seconds", np.nan), " s"
        first, stop = frames_between(reader.timestamps_seconds, start, end)
    elif "start_frame" in results or "end_frame" in results:
        start, end, unit = results.get("start_frame", np.nan), results.get("end_frame", np.nan), ""
        first = 0 if np.isnan(start) else min(int(start), count)
        stop = count if np.isnan(end) else min(int(end), count)
    else:
        return 0, count
    if stop <= first:
        raise VideoError(
            f"{results.get('filename', 'the video')}: holds no frame between {start:g} and {end:g}{unit}: "
            f"it has {count} frames, {reader.duration_seconds:.2f} s"
        )
    return first, stop
