"""What a stream gives: scores of windows, events, gaps, and figures of the whole."""

from dataclasses import dataclass, field

import numpy as np

from kinema.inference.decisions import Event
from kinema.inference.stream.statistics import Quantiles


@dataclass(frozen=True, eq=False)
class StreamWindow:
    """What the model says of one window of a stream.

    Attributes:
        start_seconds: time of its first frame.
        end_seconds: where its last frame ends.
        label: the class with the highest score.
        score: of that class.
        scores: (N,) float32, in the order of the recognizer's classes, as `VideoRecognizer.scores`
            gives them for these frames; of a model that carries its state those of all frames since
            that began.
        latency_seconds: from when its last frame was received to its scores; None where frames do
            not come as they happen.
    """

    start_seconds: float
    end_seconds: float
    label: str
    score: float
    scores: np.ndarray = field(repr=False)
    latency_seconds: float | None = None


@dataclass(frozen=True)
class StreamUpdate:
    """What is known after a further frame, or after the last.

    Attributes:
        windows: that ended; of most frames none.
        events: classes that entered or left, as far as that became certain.
        present: the classes that are there.
    """

    windows: tuple[StreamWindow, ...] = ()
    events: tuple[Event, ...] = ()
    present: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Is there anything new?"""
        return bool(self.windows or self.events)


@dataclass(frozen=True)
class StreamGap:
    """A time without frames; no window spans it, and every class left at its start.

    Attributes:
        start_seconds: end of the last frame before it.
        end_seconds: time of the first frame behind it.
        reason: such as "the stream ended" or "frames gave way to newer ones".
    """

    start_seconds: float
    end_seconds: float
    reason: str

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds


@dataclass
class StreamFigures:
    """Figures of a stream so far.

    Attributes:
        num_frames: that the model took.
        num_dropped: frames that gave way to newer ones.
        num_skipped: packets and frames that could not be decoded, or came before a key frame.
        num_late: frames that were left out because they were not newer than the one before.
        num_reconnects: connections after the first.
        num_windows: that were scored.
        num_events: classes that entered.
        num_gaps: times without frames.
        gap_seconds: of them together.
        stream_seconds: from the first frame to the end of the last.
        latency: of windows.
    """

    num_frames: int = 0
    num_dropped: int = 0
    num_skipped: int = 0
    num_late: int = 0
    num_reconnects: int = 0
    num_windows: int = 0
    num_events: int = 0
    num_gaps: int = 0
    gap_seconds: float = 0.0
    stream_seconds: float = 0.0
    latency: Quantiles = field(default_factory=Quantiles, repr=False)
