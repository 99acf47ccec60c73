"""Score a long video or a stream, window by window; each frame is decoded and prepared once."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from kinema.errors import VideoError
from kinema.inference.scoring import ScoringModel
from kinema.inference.windows.ahead import computed_ahead
from kinema.inference.windows.opening import OpenedVideo, open_video
from kinema.inference.windows.planning import Span, WindowPlanner, check_lengths, plan_windows
from kinema.inference.windows.preparation import WindowPreparation
from kinema.inference.windows.score import WindowScore
from kinema.inference.windows.scores import PartialScoresError, VideoFacts, WindowScores
from kinema.progress import ProgressBar
from kinema.video.limits import VideoLimitError

DEFAULT_BATCH_SIZE = 8
_DECODED_BYTES = 16 << 20  # of a chunk: frames that are decoded before they are prepared, about
_MOST_DECODED = 32  # frames of a chunk
_CHUNKS_AHEAD = 2
_MOST_KEPT_BYTES = 4 << 30  # frames of a stream; how long windows are may come from a foreign file
_BATCH_NUMBERS = 40_000_000  # pixels of all windows that go through the model together, at most
_STREAM = "the stream"


class WindowEngine:
    """Windows of a stream, frame by frame, or of a file.

    A window is a stretch of time; its scores are those that `recognizer.scores` gives for its
    frames as a video of their own. See `WindowPlanner` for where windows lie. Use one engine for
    one stream at a time; any number of them may share a recognizer.

    Args:
        recognizer: the model.
        length_seconds: of a window; None: as long as what the model saw of a video in training
            (`clip_seconds` of its contract), else as what its sampling spans at the frame rate of
            the video, 25 a second where that is unknown, as in a stream.
        stride_seconds: from the start of a window to the start of the next; None: half the length.
        batch_size: how many windows go through the model together, at most; fewer of large ones.
        views: clips x crops of a window, such as "1x3"; None: as the checkpoint says.
        fps: frames a second of a stream, where that is known; see `length_seconds`.

    Attributes:
        length_seconds: of a window of a stream.
        stride_seconds: likewise.

    Raises:
        ValueError: a number is out of its range, or `views` is no such text.
        ConfigError: the pipeline takes no frames, or has no such views.
    """

    def __init__(
        self,
        recognizer: ScoringModel,
        *,
        length_seconds: float | None = None,
        stride_seconds: float | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
        views: str | None = None,
        fps: float = 0.0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._recognizer = recognizer
        self._views = views
        self._batch_size = batch_size
        self._given = length_seconds, stride_seconds
        self._pipeline = recognizer.pipeline_of(views)
        self._preparation = WindowPreparation(self._pipeline)
        self.length_seconds, self.stride_seconds = self._lengths(fps)
        self._planner = WindowPlanner(self.length_seconds, self.stride_seconds)
        self._frames: dict[int, np.ndarray] = {}  # prepared ones by number, of the windows to come
        self._facts: dict[str, Any] = {}
        self._shape: tuple[int, ...] | None = None

    def _lengths(self, fps: float) -> tuple[float, float]:
        """Length and stride of the windows of a video at `fps`."""
        length, stride = self._given
        if length is None:
            length = self._recognizer.contract.clip_seconds or self._preparation.clip_seconds(fps)
        stride = length / 2 if stride is None else stride
        check_lengths(length, stride)
        return length, stride

    # ---- a stream

    def push(self, frame: np.ndarray, time_seconds: float) -> list[WindowScore]:
        """Take the next frame of a stream.

        Args:
            frame: (H, W, 3) uint8 RGB; it may be changed afterwards.
            time_seconds: when it was taken, by a clock of the caller that never runs backwards.

        Returns:
            The windows that end before this frame; mostly none.

        Raises:
            TypeError: the frame is no array of bytes.
            ValueError: it has another shape, or another size than the frames before, or its time is
                no number or before that of the last frame; `cut` lets other ones begin. Or windows
                are so long that their frames take more than 4 GiB.
            CheckpointError: the model gives scores that are not numbers.
        """
        check_frame(frame, self._shape)
        with self._recognizer.errors_of_checkpoint(_STREAM):
            prepared, facts = self._preparation.prepare(frame[None], _STREAM)
        self._check_memory(prepared.nbytes)
        spans = self._planner.add(time_seconds)
        is_view = np.may_share_memory(prepared, frame)
        self._frames[self._planner.next_frame - 1] = prepared[0].copy() if is_view else prepared[0]
        self._facts, self._shape = facts, frame.shape
        scores = self._score_pushed(spans)
        self._forget(self._frames, self._planner.first_needed)
        return scores

    def cut(self) -> list[WindowScore]:
        """End a recording: no window spans this place, and the frames that wait are scored.

        The next frame may have another size and any time; frames are counted on.
        """
        scores = self._score_pushed(self._planner.cut())
        self._frames.clear()
        self._shape = None
        return scores

    def finish(self) -> list[WindowScore]:
        """Score the rest at the end of a stream. Afterwards the engine is as new."""
        scores = self.cut()
        self._planner = WindowPlanner(self.length_seconds, self.stride_seconds)
        return scores

    def _check_memory(self, frame_bytes: int) -> None:
        if (len(self._frames) + 1) * frame_bytes > _MOST_KEPT_BYTES:
            raise ValueError(
                f"the frames of a window of {self.length_seconds:g} s take more than {_MOST_KEPT_BYTES} bytes: choose a"
                " shorter length_seconds"
            )

    def _score_pushed(self, spans: Sequence[Span]) -> list[WindowScore]:
        return list(self._batches((self._packed(span, self._frames, self._facts, _STREAM) for span in spans), _STREAM))

    # ---- a file

    def scan(self, video: Any, *, fps: float | None = None, progress: bool = False) -> Iterator[WindowScore]:
        """Score all windows of a video, in the order of their times.

        Only frames that the model sees are decoded, each once, and as few as possible are in
        memory. What was pushed before stays as it is.

        Args:
            video: see `VideoRecognizer.predict`.
            fps: frames a second of an array, a tensor or a folder of frames, which do not state it.
            progress: show the progress on standard error.

        Yields:
            A window after the other.

        Raises:
            TypeError: `video` is nothing that can be a video.
            ValueError: frames without a rate, or of another shape.
            VideoError: the video cannot be read; midway: after the windows before that place.
            CheckpointError: the model gives scores that are not numbers.
        """
        return self._scan(open_video(video, self._pipeline, fps), progress=progress)

    def score_all(self, video: Any, *, fps: float | None = None, progress: bool = False) -> WindowScores:
        """The scores of all windows of a video, as `scan` gives them one after another.

        Args:
            video: see `scan`, as `fps` and `progress`, and what it raises.
            fps: see there.
            progress: see there.

        Raises:
            PartialScoresError: the video cannot be read from some place on; it holds the scores of
                what comes before.
        """
        opened = open_video(video, self._pipeline, fps)
        rows: list[WindowScore] = []
        try:
            for row in self._scan(opened, progress=progress):
                rows.append(row)
        except LostFrameError as error:
            if not rows:
                raise error.reason from None
            facts = replace(self._facts_of(opened, rows), num_frames=error.frame, broken=str(error))
            raise PartialScoresError(WindowScores.of(rows, facts)) from error.reason
        return WindowScores.of(rows, self._facts_of(opened, rows))

    def _facts_of(self, opened: OpenedVideo, rows: Sequence[WindowScore]) -> VideoFacts:
        length, stride = self._lengths(opened.fps)
        return VideoFacts(
            video=opened.name,
            model=self._recognizer.name,
            classes=self._recognizer.classes or tuple(map(str, range(len(rows[0].scores)))),
            is_multi_label=self._recognizer.is_multi_label,
            thresholds=self._recognizer.thresholds,
            num_frames=len(opened.times),
            fps=opened.fps,
            length_seconds=length,
            stride_seconds=stride,
            views=self._views,
        )

    def _scan(self, opened: OpenedVideo, *, progress: bool) -> Iterator[WindowScore]:
        bar = None
        try:
            spans = plan_windows(map(float, opened.times), *self._lengths(opened.fps))
            bar = ProgressBar(len(spans)) if progress else None
            breaks: list[LostFrameError] = []
            covered = 0
            for score in self._batches(self._packed_spans(opened, spans, breaks), opened.name):
                covered = score.stop_frame
                yield score
                if bar is not None:
                    bar.update()
            if breaks:
                raise (yield from self._last_before(breaks[0], opened, covered))
        finally:
            opened.reader.close()
            if bar is not None:
                bar.close()

    def _last_before(
        self, error: "LostFrameError", opened: OpenedVideo, covered: int
    ) -> Generator[WindowScore, None, "LostFrameError"]:
        """The windows of the rest before a frame that is lost, as if the video ended there.

        They may need a frame that no window so far did, and that is lost, too.

        Args:
            error: names the frame.
            opened: the video.
            covered: frames that windows so far hold.

        Returns:
            The error of the frame up to which there are scores.
        """
        while True:
            before, breaks = replace(opened, times=opened.times[: error.frame]), list[LostFrameError]()
            spans = plan_windows(map(float, before.times), *self._lengths(opened.fps))
            rest = [span for span in spans if span.stop_frame > covered]
            for score in self._batches(self._packed_spans(before, rest, breaks), opened.name):
                covered = score.stop_frame
                yield score
            if not breaks:
                return error
            error = breaks[0]
            if isinstance(error.reason, VideoLimitError):
                return LostFrameError(covered, error.reason)  # another try would end there, too

    def _packed_spans(
        self, opened: OpenedVideo, spans: Sequence[Span], breaks: list["LostFrameError"]
    ) -> Iterator[tuple[Span, Any]]:
        """Windows with the model's inputs, from frames that are decoded in ascending order.

        Args:
            opened: the video.
            spans: the windows.
            breaks: gets the error of a frame that is lost, which is the end.
        """
        name = opened.name
        is_seen = np.zeros(len(opened.times), dtype=bool)
        last_seen = []
        with self._recognizer.errors_of_checkpoint(name):
            for span in spans:
                numbers = span.first_frame + self._preparation.frames_of(len(span), span.fps, name)
                is_seen[numbers] = True
                last_seen.append(int(numbers[-1]))
        frames: dict[int, np.ndarray] = {}
        facts: dict[str, Any] = {}
        newest = -1
        with closing(computed_ahead(self._prepared(opened, np.flatnonzero(is_seen)), _CHUNKS_AHEAD)) as chunks:
            for span, last in zip(spans, last_seen, strict=True):
                self._forget(frames, span.first_frame)
                while newest < last:
                    try:
                        numbers, prepared, facts = next(chunks)
                    except LostFrameError as error:
                        breaks.append(error)
                        return
                    frames.update(zip(numbers.tolist(), prepared, strict=True))
                    newest = int(numbers[-1])
                yield self._packed(span, frames, facts, name)

    def _prepared(
        self, opened: OpenedVideo, numbers: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, Any]]]:
        """Some frames after the other: their numbers, (n, h, w, 3) pixels, and what preparing wrote beside them."""
        place, count, most = 0, 1, _MOST_DECODED
        while place < len(numbers):
            chunk = numbers[place : place + count]
            try:
                images = opened.reader.get_batch(chunk)
            except VideoError as error:
                if len(chunk) == 1 or isinstance(error, VideoLimitError):
                    raise self._first_lost(opened, numbers, place, error) from error
                count = most = 1  # up to the first that is lost
                continue
            place += len(chunk)
            count = max(1, min(most, _DECODED_BYTES // images[0].nbytes))
            with self._recognizer.errors_of_checkpoint(opened.name):
                prepared, facts = self._preparation.prepare(images, opened.name)
            del images  # full frames: the next are decoded into other memory
            yield chunk, prepared, facts

    @staticmethod
    def _first_lost(opened: OpenedVideo, numbers: np.ndarray, place: int, error: VideoError) -> "LostFrameError":
        """The first frame behind `numbers[place - 1]` that is lost: at the latest `numbers[place]`, with its error."""
        begin, end = (int(numbers[place - 1]) + 1 if place else 0), int(numbers[place])
        for number in range(begin, end):
            try:
                opened.reader.get_batch([number])
            except VideoError as earlier:
                return LostFrameError(number, earlier)
        return LostFrameError(end, error)

    @staticmethod
    def _forget(frames: dict[int, np.ndarray], first: int) -> None:
        """Drop the frames before number `first`; they came in order."""
        while frames and (oldest := next(iter(frames))) < first:
            del frames[oldest]

    # ---- the model

    def _packed(self, span: Span, frames: dict[int, np.ndarray], facts: dict[str, Any], name: str) -> tuple[Span, Any]:
        with self._recognizer.errors_of_checkpoint(name):
            numbers = self._preparation.frames_of(len(span), span.fps, name).tolist()
            inside = {number: frames[span.first_frame + number] for number in numbers}
            return span, self._preparation.pack(len(span), span.fps, inside, facts, name)

    def _batches(self, packed: Iterator[tuple[Span, Any]], name: str) -> Iterator[WindowScore]:
        """Scores of windows, of which some go through the model together."""
        waiting: list[tuple[Span, Any]] = []
        for span, sample in packed:
            if waiting and not self._fits(waiting, sample):
                yield from self._scored(waiting, name)
                waiting = []
            waiting.append((span, sample))
        if waiting:
            yield from self._scored(waiting, name)

    def _fits(self, waiting: Sequence[tuple[Span, Any]], sample: Any) -> bool:
        first, further = waiting[0][1].get("inputs"), sample.get("inputs")
        if not (isinstance(first, torch.Tensor) and isinstance(further, torch.Tensor)) or first.shape != further.shape:
            return False
        return len(waiting) < self._batch_size and (len(waiting) + 1) * first.numel() <= _BATCH_NUMBERS

    def _scored(self, windows: Sequence[tuple[Span, Any]], name: str) -> Iterator[WindowScore]:
        samples = [sample for _, sample in windows]
        scores = self._recognizer.scores_of_samples(samples, name, views=self._views).numpy()
        for (span, _), row in zip(windows, scores, strict=True):
            yield WindowScore(span.start_seconds, span.end_seconds, span.first_frame, span.stop_frame, row.copy())


class LostFrameError(VideoError):
    """A frame that a window needs cannot be decoded.

    Args:
        frame: its number.
        reason: what the reader said.
    """

    def __init__(self, frame: int, reason: VideoError) -> None:
        super().__init__(str(reason))
        self.frame, self.reason = frame, reason

    def __reduce__(self) -> tuple[type, tuple[int, VideoError]]:
        return LostFrameError, (self.frame, self.reason)


def check_frame(frame: np.ndarray, before: tuple[int, ...] | None) -> None:
    """Check a frame of a stream.

    Args:
        frame: (H, W, 3) uint8.
        before: shape of the frames before it; None: it is the first.

    Raises:
        TypeError: it is no array of bytes.
        ValueError: it has another shape, or another size than those before.
    """
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        kind = f"{frame.dtype} array" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise TypeError(f"a frame must be a uint8 array (H, W, 3) of RGB, got a {kind}")
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ValueError(f"a frame must have the shape (H, W, 3), got {frame.shape}")
    if before is not None and frame.shape != before:
        raise ValueError(
            f"the frame is {frame.shape[1]}x{frame.shape[0]}, those before it {before[1]}x{before[0]}:"
            " call cut() where the size of the frames changes"
        )
