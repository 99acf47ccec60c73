"""Clips around events: the seconds before a class enters, while it is there, and the seconds after."""

import itertools
import logging
import re
from collections import deque
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from kinema.errors import KinemaError
from kinema.inference.decisions import Event
from kinema.inference.stream.worker import Worker
from kinema.video import VideoWriter

_log = logging.getLogger(__name__)

_SHORT_SIDE = 360  # pixels
_JPEG_QUALITY = 85
_MOST_RING_BYTES = 128 * 2**20
_MOST_WAITING = 2000  # frames on their way to the encoder, some 25 kB each
_MOST_CLIPS = 8  # that are written at one time
_NOMINAL_FPS = 25  # frames are shown at their own times
_LEAST_STEP_SECONDS = 1e-3
_CLOSE_SECONDS = 60.0
_NAME_LENGTH = 60
_REMEMBERED_NAMES = 256


class _Small(NamedTuple):
    """A frame as the ring keeps it."""

    time_seconds: float
    jpeg: bytes


class _Clip:
    """One file in the making. All methods but the first run in the worker's thread."""

    def __init__(self, path: Path, label: str, start_seconds: float) -> None:
        self.path, self.label = path, label
        self.start_seconds = start_seconds
        self.stop_seconds = float("inf")
        self._last = -float("inf")
        self._writer: VideoWriter | None = VideoWriter(path, _NOMINAL_FPS, options={"preset": "veryfast"})

    def write(self, small: _Small) -> None:
        """Show a frame from its time on."""
        if self._writer is None or small.time_seconds < self._last + _LEAST_STEP_SECONDS:
            return
        pixels = cv2.imdecode(np.frombuffer(small.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert pixels is not None  # our own JPEG
        try:
            self._writer.write(pixels, small.time_seconds - self.start_seconds)
            self._last = small.time_seconds
        except KinemaError as error:
            self._fail(error)

    def close(self) -> None:
        """Give the file its name."""
        if self._writer is None or not self._writer.num_frames:
            return
        try:
            self._writer.close()
        except KinemaError as error:
            self._fail(error)

    def _fail(self, error: KinemaError) -> None:
        _log.warning("a clip was not recorded: %s", error)
        self._writer = None


class EventRecorder:
    """Writes an MP4 clip around each event, from frames that were made small (360 pixels) and kept for a while.

    Nothing spans a gap: clips end there.

    Args:
        folder: of the clips; it is made.
        before_seconds: before the class entered.
        after_seconds: after it left.
        delay_seconds: how much later than it happened an event may be known.
        longest_seconds: of a clip; what an event lasts longer is not recorded.

    Attributes:
        num_clips: clips that were begun.
        num_missed: events without a clip, since too many were written already.
        num_dropped: frames that the encoder had no time for.

    Raises:
        ValueError: a number of seconds is negative or no number.
    """

    def __init__(
        self,
        folder: Path,
        *,
        before_seconds: float = 5.0,
        after_seconds: float = 5.0,
        delay_seconds: float = 0.0,
        longest_seconds: float = 600.0,
    ) -> None:
        for name, seconds in (("before_seconds", before_seconds), ("after_seconds", after_seconds)):
            if not 0 <= seconds < float("inf"):
                raise ValueError(f"{name} must be 0 or more seconds, got {seconds}")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._before, self._after = before_seconds, after_seconds
        self._kept_seconds = before_seconds + delay_seconds
        self._longest_seconds = longest_seconds
        self._ring: deque[_Small] = deque()
        self._ring_bytes = 0
        self._clips: list[_Clip] = []
        self._names: deque[Path] = deque(maxlen=_REMEMBERED_NAMES)  # of clips that may not be complete
        self._worker = Worker("recorder", _MOST_WAITING)
        self.num_clips = self.num_missed = self.num_dropped = 0

    def push(self, frame: np.ndarray, time_seconds: float) -> None:
        """Keep a frame, and give it to the clips that are being written.

        Args:
            frame: (H, W, 3) uint8 RGB.
            time_seconds: of it.
        """
        small = _Small(time_seconds, _jpeg_of(frame))
        self._ring.append(small)
        self._ring_bytes += len(small.jpeg)
        while self._ring[0].time_seconds < time_seconds - self._kept_seconds or self._ring_bytes > _MOST_RING_BYTES:
            self._ring_bytes -= len(self._ring.popleft().jpeg)
            if not self._ring:
                break
        for clip in list(self._clips):
            stop = min(clip.stop_seconds, clip.start_seconds + self._longest_seconds)
            if time_seconds <= stop:
                self._write(clip, small)
            else:
                self._finish(clip)

    def note(self, event: Event, name: str) -> Path | None:
        """Begin a clip for a class that entered, or let that of one that left end.

        Args:
            event: what happened.
            name: of the time at which it happened, for the file.

        Returns:
            The file that will be there when the clip is complete; None where none was begun.
        """
        if event.kind == "left":
            for clip in self._clips:
                if clip.label == event.label and clip.stop_seconds == float("inf"):  # not one of an event before
                    clip.stop_seconds = event.time_seconds + self._after
            return None
        if len(self._clips) >= _MOST_CLIPS:
            self.num_missed += 1
            return None
        shown = [small for small in self._ring if small.time_seconds >= event.time_seconds - self._before]
        start = shown[0].time_seconds if shown else event.time_seconds
        clip = _Clip(self._free_path(name, event.label), event.label, start)
        self._clips.append(clip)
        self.num_clips += 1
        for small in shown:
            self._write(clip, small)
        return clip.path

    def cut(self) -> None:
        """A gap: all clips end."""
        for clip in list(self._clips):
            self._finish(clip)
        self._ring.clear()
        self._ring_bytes = 0

    def close(self) -> None:
        """Complete all clips."""
        self.cut()
        if not self._worker.close(_CLOSE_SECONDS):
            _log.warning("%s: some clips could not be completed within %g s", self._folder, _CLOSE_SECONDS)

    def _write(self, clip: _Clip, small: _Small) -> None:
        self.num_dropped += not self._worker.submit(lambda: clip.write(small))

    def _finish(self, clip: _Clip) -> None:
        self._clips.remove(clip)
        self._worker.submit(clip.close, is_needed=True)

    def _free_path(self, name: str, label: str) -> Path:
        stem = f"{_plain(name)}_{_plain(label)}"
        for number in itertools.count(1):
            path = self._folder / f"{stem}{'' if number == 1 else f'-{number}'}.mp4"
            if path not in self._names and not path.exists():
                self._names.append(path)
                return path
        raise AssertionError


def _jpeg_of(frame: np.ndarray) -> bytes:
    height, width = frame.shape[:2]
    factor = _SHORT_SIDE / min(height, width)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return encoded.tobytes()


def _plain(text: str) -> str:
    """Letters, digits, points and dashes of a name, whatever it is the name of."""
    return re.sub(r"[^\w.-]+", "_", text)[:_NAME_LENGTH].strip("._") or "class"
