"""A stretch of a video in which a class is there."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Segment:
    """One stretch of one class; of equal starts the shorter comes first.

    Attributes:
        start_seconds: of its first frame, on the clock of the video.
        end_seconds: where its last frame ends, after `start_seconds`.
        label: name of the class.
        score: mean score of the class in it, 0 to 1; None: labelled by people.
        peak: its highest score there; None likewise.
        video: path or address of the video; "" where only one is meant.
    """

    start_seconds: float
    end_seconds: float
    label: str
    score: float | None = None
    peak: float | None = None
    video: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start_seconds < self.end_seconds < float("inf"):
            raise ValueError(
                f"a segment must end after it starts, and start at 0 or later: got {self.start_seconds} to"
                f" {self.end_seconds} s ({self.label})"
            )

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds
