"""Frames of a file: all of them as fast as the model takes them, or at the file's own pace."""

import threading
import time

import numpy as np

from kinema.inference.stream.addresses import StreamAddress
from kinema.inference.stream.connection import wait
from kinema.inference.stream.frame_queue import FrameQueue, StreamFrame
from kinema.inference.stream.live_source import JOIN_SECONDS, MOST_FRAME_BYTES, SourceOptions
from kinema.video import VideoReader


class FileSource:
    """Reads a file in a thread of its own: the frames of `VideoReader`, with times from the first on.

    Args:
        address: of the file.
        span_seconds: how much time the frames that wait for the model may cover: one window.
        options: how it is read; frames give way where `drops` is True, else they wait.
        is_realtime: each frame comes when it is shown, and frames give way unless `drops` is False.

    Attributes:
        frames: decoded frames, the oldest first.
        is_live: frames come at their own pace.
        is_connected: True.
        num_reconnects: 0.
        num_skipped: 0: a frame that cannot be decoded is an error.
        num_late: 0.
    """

    def __init__(
        self, address: StreamAddress, span_seconds: float, options: SourceOptions, *, is_realtime: bool = False
    ) -> None:
        self.address = address
        self.options = options
        self.is_live = is_realtime
        drops = is_realtime if options.drops is None else options.drops
        self.frames = FrameQueue(span_seconds, most_bytes=MOST_FRAME_BYTES, drops=drops)
        self.is_connected = True
        self.num_reconnects = self.num_skipped = self.num_late = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name="kinema stream file", daemon=True)

    @property
    def num_dropped(self) -> int:
        """Frames that gave way to newer ones."""
        return self.frames.num_dropped

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stopped.set()
        self.frames.end()
        if self._thread.ident is not None:
            self._thread.join(JOIN_SECONDS)

    def _guarded(self) -> None:
        try:
            self._read()
        except Exception as error:  # reaches the one that waits for frames
            self.frames.end(error)
        else:
            self.frames.end()

    def _read(self) -> None:
        with VideoReader(self.address.target, limits=self.options.limits) as reader:
            times = reader.timestamps_seconds
            times = times - times[:1]
            ends = np.append(times[1:], times[-1] + (1 / reader.fps if reader.fps else 0.0)) if len(times) else times
            started = time.monotonic()
            for number, (begin, end) in enumerate(zip(times.tolist(), ends.tolist(), strict=True)):
                if self.is_live:
                    wait(started + begin - time.monotonic(), self._stopped.is_set)
                pixels = reader[number]
                frame = StreamFrame(pixels, np.asarray, pixels.nbytes, begin, end, time.monotonic())
                if self._stopped.is_set() or not self.frames.put(frame):
                    return
