"""What a model says of one window of a video."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class WindowScore:
    """The scores of one window.

    Attributes:
        start_seconds: time of its first frame, on the clock of the video or stream.
        end_seconds: where its last frame ends.
        first_frame: number of its first frame.
        stop_frame: number of the frame behind its last.
        scores: (N,) float32, as `VideoRecognizer.scores` gives them for these frames.
    """

    start_seconds: float
    end_seconds: float
    first_frame: int
    stop_frame: int
    scores: np.ndarray
