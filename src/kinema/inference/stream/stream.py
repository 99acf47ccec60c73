"""`Stream`: frames in, one by one; scores of windows and events out."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kinema.inference.decisions import DecisionSettings, WindowTracker
from kinema.inference.loading import load
from kinema.inference.recognizer import VideoRecognizer
from kinema.inference.stream.carried import CarriedEngine
from kinema.inference.stream.updates import StreamUpdate, StreamWindow
from kinema.inference.windows import WindowEngine, WindowScore


class Stream:
    """A recognizer for frames that come one by one, from a camera or a program of your own.

        stream = kinema.Stream("work/mine")
        for frame, seconds in my_camera():
            update = stream.push(frame, seconds)
            for event in update.events:
                print(event.time_seconds, event.kind, event.label)
        stream.finish()

    Memory is constant: it keeps the frames of one window. Scores are those of `kinema timeline` for
    a file of these frames. One stream is for one thread; several may share a recognizer.

    A model that carries its state from frame to frame, such as a streaming MoViNet, takes each frame
    as it comes, and its scores look back as far as a window is long, at most: see `CarriedEngine`.
    With `views` it is scored by windows, as others are.

    Args:
        model: what `kinema.load` takes, or a recognizer.
        length_seconds: of a window; None: as the checkpoint says.
        stride_seconds: from the start of a window to the start of the next; None: half the length, or a
            step from one frame that the model sees to the next, of a model that carries its state.
        views: clips x crops of a window, such as "1x3"; None: as the checkpoint says.
        decisions: what it takes for a class to be there; None: what suits the model, with the
            thresholds of its checkpoint.
        fps: frames a second of the stream, where that is known: a model that was trained on so many
            frames, and not on so many seconds, has windows of that length.
        device: where to compute, of a model that is loaded here.
        config: of a .pth file that lacks its own; likewise.

    Attributes:
        recognizer: the model.
        length_seconds: of a window.
        stride_seconds: likewise.
        decisions: what it takes for a class to be there.
        carries_state: the model carries its state from frame to frame.

    Raises:
        CheckpointError: the model cannot be loaded.
        ValueError: a number is out of its range, or `decisions` names a class that is not there.
    """

    def __init__(
        self,
        model: str | os.PathLike | VideoRecognizer,
        *,
        length_seconds: float | None = None,
        stride_seconds: float | None = None,
        views: str | None = None,
        decisions: DecisionSettings | None = None,
        fps: float = 0.0,
        device: str = "auto",
        config: Mapping[str, Any] | str | os.PathLike | None = None,
    ) -> None:
        if isinstance(model, VideoRecognizer):
            self.recognizer = model
        else:
            self.recognizer = load(model, config=config, device=device)
        lengths: dict[str, Any] = {"length_seconds": length_seconds, "stride_seconds": stride_seconds, "fps": fps}
        self.carries_state = self.recognizer.carries_state and views is None
        self._engine: WindowEngine | CarriedEngine = (
            CarriedEngine(self.recognizer, **lengths)
            if self.carries_state
            else WindowEngine(self.recognizer, batch_size=1, views=views, **lengths)
        )
        self.length_seconds, self.stride_seconds = self._engine.length_seconds, self._engine.stride_seconds
        self.decisions = decisions or DecisionSettings.of_model(
            thresholds=self.recognizer.thresholds, is_multi_label=self.recognizer.is_multi_label
        )
        self._begin()

    def _begin(self) -> None:
        self._tracker = self._new_tracker(self.recognizer.classes) if self.recognizer.classes else None
        self._last_push_seconds = 0.0  # time of the last frame

    def _new_tracker(self, classes: Sequence[str]) -> WindowTracker:
        return WindowTracker(classes, self.stride_seconds, self.decisions)

    def push(self, frame: np.ndarray, time_seconds: float) -> StreamUpdate:
        """Take the next frame.

        Args:
            frame: (H, W, 3) uint8 RGB; it may be changed afterwards.
            time_seconds: when it was taken, by a clock of yours that never runs backwards, from 0 on.

        Raises:
            TypeError: the frame is no array of bytes.
            ValueError: it has another shape, or another size than the frames before; or its time is
                no number, below 0, or before that of the last frame. After `cut` other sizes may
                come, after `finish` any time.
            CheckpointError: the model gives scores that are not numbers.
        """
        if time_seconds < 0:
            raise ValueError(f"times of frames are 0 or more seconds, got {time_seconds:g}")
        if time_seconds < self._last_push_seconds:
            raise ValueError(
                f"frames must come in the order of their times, got {time_seconds:g} s after"
                f" {self._last_push_seconds:g} s:"
                " call finish() where the clock begins anew"
            )
        windows = self._engine.push(frame, time_seconds)
        self._last_push_seconds = time_seconds
        return self._update(windows)

    def cut(self) -> StreamUpdate:
        """Frames are missing here: no window spans this place; what waits is scored, and every class leaves."""
        return self._update(self._engine.cut(), is_cut=True)

    def finish(self) -> StreamUpdate:
        """The end: as `cut`. Afterwards the stream is as new, and its clock may begin anew."""
        update = self._update(self._engine.finish(), is_cut=True)
        self._begin()
        return update

    def _update(self, windows: list[WindowScore], *, is_cut: bool = False) -> StreamUpdate:
        if self._tracker is None:
            if not windows:
                return StreamUpdate()
            self._tracker = self._new_tracker(tuple(map(str, range(len(windows[0].scores)))))
        events = [event for window in windows for event in self._tracker.push(window)]
        if is_cut:
            events += self._tracker.cut()
        return StreamUpdate(tuple(map(self._window, windows)), tuple(events), self._tracker.present)

    def _window(self, window: WindowScore) -> StreamWindow:
        best = int(window.scores.argmax())
        label = self.recognizer.classes[best] if self.recognizer.classes else str(best)
        return StreamWindow(window.start_seconds, window.end_seconds, label, float(window.scores[best]), window.scores)
