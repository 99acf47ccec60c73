"""Score a stream with a model that carries its state from frame to frame: no frame is computed for each window anew."""

import math
from dataclasses import dataclass, field

import numpy as np

from kinema.inference.recognizer import VideoRecognizer
from kinema.inference.windows.engine import check_frame
from kinema.inference.windows.planning import TOLERANCE_SECONDS, check_time
from kinema.inference.windows.preparation import WindowPreparation
from kinema.inference.windows.score import WindowScore
from kinema.models.layers.carried_state import CarriedState

_STREAM = "the stream"


@dataclass
class _Memory:
    """What the model keeps of a stream since a time."""

    start_seconds: float
    state: CarriedState = field(default_factory=CarriedState)


@dataclass
class _Stretch:
    """A part of the stream that has one set of scores."""

    start_seconds: float
    end_seconds: float
    first_frame: int
    scores: np.ndarray


class CarriedEngine:
    """Frames in, scores out: of all frames since the state began, as they come.

    The model sees frames as far apart as those of its clips. Its state does not forget by itself,
    so every half of `length_seconds` a new one begins, and the older of two answers, until it is
    `length_seconds` old. Scores then look back between half of that and the whole, and each frame
    goes through the model twice, however often scores are given. Memory is constant.

    Args:
        recognizer: its model carries a state.
        length_seconds: how far scores look back, at most; None: as far as a clip reaches, see
            `WindowEngine`.
        stride_seconds: from scores to the next; None: scores with every frame that the model sees.
        fps: frames a second of the stream, where that is known.

    Attributes:
        length_seconds: see there.
        stride_seconds: see there.
        step_seconds: from a frame that the model sees to the next.

    Raises:
        ValueError: `length_seconds` is below two steps, or `stride_seconds` below a step or above the
            length.
        ConfigError: the pipeline takes no frames.
    """

    def __init__(
        self,
        recognizer: VideoRecognizer,
        *,
        length_seconds: float | None = None,
        stride_seconds: float | None = None,
        fps: float = 0.0,
    ) -> None:
        self._recognizer = recognizer
        self._preparation = WindowPreparation(recognizer.pipeline_of(None))
        clip = recognizer.contract.clip_seconds or self._preparation.clip_seconds(fps)
        self.step_seconds = clip / self._preparation.clip_len
        self.length_seconds = max(clip, 2 * self.step_seconds) if length_seconds is None else length_seconds
        self.stride_seconds = self.step_seconds if stride_seconds is None else stride_seconds
        self._check_lengths()
        self._next_frame = 0
        self._begin()

    def _begin(self) -> None:
        self._memories: list[_Memory] = []  # at most two, the older one first
        self._stretch: _Stretch | None = None
        self._due = -math.inf  # when the model sees the next frame
        self._last_seconds: float | None = None
        self._shape: tuple[int, ...] | None = None

    def _check_lengths(self) -> None:
        step, length, stride = self.step_seconds, self.length_seconds, self.stride_seconds
        if not 2 * step - TOLERANCE_SECONDS <= length < math.inf:
            raise ValueError(
                f"length_seconds must be at least {2 * step:g}, two of the steps in which the model sees frames, got"
                f" {length}"
            )
        if not step - TOLERANCE_SECONDS <= stride <= length:
            raise ValueError(
                f"stride_seconds must be from {step:g}, the step in which the model sees frames, to length_seconds,"
                f" {length:g}, got {stride}"
            )

    def push(self, frame: np.ndarray, time_seconds: float) -> list[WindowScore]:
        """Take the next frame, see `WindowEngine.push`.

        Returns:
            The scores of a stretch of the stream, where it ends with this frame; else nothing.
        """
        check_frame(frame, self._shape)
        check_time(time_seconds, self._last_seconds)
        self._shape, self._last_seconds = frame.shape, time_seconds
        number = self._next_frame
        self._next_frame += 1
        if time_seconds < self._due - TOLERANCE_SECONDS:
            return []
        is_late = time_seconds >= self._due + self.step_seconds  # the first, or behind a hole
        self._due = (time_seconds if is_late else self._due) + self.step_seconds
        scores, end = self._scores(frame, time_seconds), time_seconds + self.step_seconds
        if self._stretch is None:
            self._stretch = _Stretch(time_seconds, end, number, scores)
        self._stretch.end_seconds, self._stretch.scores = end, scores
        is_over = end - self._stretch.start_seconds >= self.stride_seconds - TOLERANCE_SECONDS
        return self._ended() if is_over else []

    def cut(self) -> list[WindowScore]:
        """End a recording: the scores that wait; the next frame begins a new state, and may have another size."""
        scores = self._ended()
        self._begin()
        return scores

    def finish(self) -> list[WindowScore]:
        """The end; as `cut`. Afterwards the engine is as new."""
        scores = self.cut()
        self._next_frame = 0
        return scores

    def _ended(self) -> list[WindowScore]:
        stretch, self._stretch = self._stretch, None
        if stretch is None:
            return []
        span = stretch.start_seconds, stretch.end_seconds, stretch.first_frame, self._next_frame
        return [WindowScore(*span, stretch.scores)]

    def _scores(self, frame: np.ndarray, time_seconds: float) -> np.ndarray:
        """(N,) scores of the older state, with this frame; each state takes it."""
        half = self.length_seconds / 2
        if not self._memories or time_seconds >= self._memories[-1].start_seconds + half - TOLERANCE_SECONDS:
            self._memories.append(_Memory(time_seconds))
        if time_seconds >= self._memories[0].start_seconds + self.length_seconds - TOLERANCE_SECONDS:
            del self._memories[0]
        with self._recognizer.errors_of_checkpoint(_STREAM):
            prepared, facts = self._preparation.prepare(frame[None], _STREAM)
            packed = self._preparation.pack_piece(prepared, facts, _STREAM)
        scores = [self._recognizer.scores_of_piece(packed, memory.state, _STREAM) for memory in self._memories]
        return scores[0].numpy()
