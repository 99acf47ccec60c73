"""Frames of a camera, an address or standard input: read, decoded, connected again when it breaks."""

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
from av.video.frame import VideoFrame

from kinema.errors import VideoError
from kinema.inference.stream.addresses import SourceKind, StreamAddress
from kinema.inference.stream.clock import StreamClock
from kinema.inference.stream.connection import Connection, Pipe, connect, wait
from kinema.inference.stream.frame_queue import FrameQueue, StreamFrame
from kinema.inference.stream.packet_queue import Closed, Opened, PacketQueue, Received
from kinema.video.contexts import let_go
from kinema.video.convert import FrameConverter
from kinema.video.limits import VideoLimitError, VideoLimits, default_limits
from kinema.video.source import reason_of

_log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
_MOST_PACKET_BYTES = 64 * 2**20
MOST_FRAME_BYTES = 512 * 2**20
JOIN_SECONDS = 1.0
_REMEMBERED_PACKETS = 256  # between a packet and its frame


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How a source is read.

    Attributes:
        drops: frames that the model has no time for give way to newer ones; None: they do where the
            source is live, a camera or an address.
        stall_seconds: without a frame after which a connection counts as broken.
        longest_pause_seconds: between two tries to connect.
        most_reconnects: tries in a row without a frame before the stream is given up; None: it
            never is.
        limits: what a video may ask for; None for `default_limits()`.
    """

    drops: bool | None = None
    stall_seconds: float = 10.0
    longest_pause_seconds: float = 30.0
    most_reconnects: int | None = None
    limits: VideoLimits | None = None

    def __post_init__(self) -> None:
        for name in ("stall_seconds", "longest_pause_seconds"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} must be a positive number of seconds, got {value}")
        if self.most_reconnects is not None and self.most_reconnects < 0:
            raise ValueError(f"most_reconnects must be 0 or more, got {self.most_reconnects}")


def pause_seconds(num_tries: int, longest: float) -> float:
    """How long to wait before the next try to connect: twice as long each time.

    Args:
        num_tries: in a row that gave no frame.
        longest: pause, in seconds.
    """
    return min(longest, FIRST_PAUSE_SECONDS * 2.0 ** min(num_tries, 30))


class LiveSource:
    """Reads a live source in two threads until it is closed.

    Args:
        address: of the source.
        span_seconds: how much time the frames that wait for the model may cover: one window.
        options: how it is read.

    Attributes:
        frames: decoded frames, the oldest first.
        is_live: frames are sent as they happen; False for standard input and files behind an
            address.
        is_connected: a frame came since the last connection ended.
        num_reconnects: connections after the first.
        num_skipped: packets and frames that were left out because they are damaged, or came before
            the first key frame.
        num_late: frames that were left out because they were not newer than the one before.
    """

    def __init__(self, address: StreamAddress, span_seconds: float, options: SourceOptions) -> None:
        self.address = address
        self.options = options
        self.is_live = address.kind is not SourceKind.STDIN
        drops = self.is_live if options.drops is None else options.drops
        self.frames = FrameQueue(span_seconds, most_bytes=MOST_FRAME_BYTES, drops=drops)
        self.is_connected = False
        self.num_reconnects = self.num_skipped = self.num_late = 0
        self._packets = PacketQueue(span_seconds, most_bytes=_MOST_PACKET_BYTES, drops=drops)
        self._limits = options.limits or default_limits()
        self._stopped = threading.Event()
        self._last_frame = time.monotonic()
        self._has_frames = False
        self._num_failures = 0  # tries in a row without a frame
        self._error: Exception | None = None
        self._threads = [
            threading.Thread(target=work, name=f"kinema stream {name}", daemon=True)
            for name, work in (("reader", self._run_reader), ("decoder", self._run_decoder))
        ]

    @property
    def num_dropped(self) -> int:
        """Frames and undecoded packets that gave way to newer ones."""
        return self.frames.num_dropped + self._packets.num_dropped

    def start(self) -> None:
        """Begin to read."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop reading; a thread that waits for a silent server ends on its own, later."""
        self._stopped.set()
        self._packets.end()
        self.frames.end()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(JOIN_SECONDS)

    # Whatever ends a thread reaches the one that waits for frames, behind those that came before.

    def _run_reader(self) -> None:
        try:
            self._read()
        except Exception as error:
            self._error = error
        self._packets.end()

    def _run_decoder(self) -> None:
        try:
            self._decode()
        except Exception as error:
            self._error = error
            self._stopped.set()
            self._packets.end()
        if self._error is None and not self._has_frames and not self._stopped.is_set():
            hint = "" if self.is_live else ": perhaps it has to be read from its end, as some MP4 files; give its path"
            self._error = VideoError(f"{self.address.name}: ended without a frame that can be decoded{hint}")
        self.frames.end(self._error)

    # ---- the thread that reads

    def _read(self) -> None:
        reason = ""
        pipe = Pipe(sys.stdin.buffer, self._stopped.is_set) if self.address.kind is SourceKind.STDIN else None
        while not self._stopped.is_set():
            connection = self._connect(pipe)
            if connection is not None:
                is_recording = self._adapt(connection)
                self._packets.open(connection, reason)
                reason = self._read_connection(connection)
                self._packets.close()
                connection.container.close()
                if pipe is not None or is_recording:
                    break
                if not self._stopped.is_set():
                    _log.warning("%s: %s", self.address.name, reason)
            if not self._stopped.is_set():
                self._pause(reason)

    def _connect(self, pipe: Pipe | None) -> Connection | None:
        """None where it failed and another try may do better."""
        self._last_frame = time.monotonic()
        try:
            return connect(
                self.address,
                self._limits,
                open_seconds=max(self.options.stall_seconds, self._limits.network_seconds),
                silent_seconds=self.options.stall_seconds,
                pipe=pipe,
            )
        except VideoLimitError:
            raise  # another try would not be another stream
        except VideoError as error:
            if pipe is not None or self._is_given_up():
                raise
            _log.warning("%s", error)
            return None

    def _is_given_up(self) -> bool:
        most = self.options.most_reconnects
        return most is not None and self._num_failures >= most

    def _adapt(self, connection: Connection) -> bool:
        """Is it a file behind an address?

        Then all of its frames are wanted, and its end is the end.
        """
        is_recording = self.address.kind is SourceKind.ADDRESS and connection.is_recording
        if is_recording:
            self.is_live = False
            if self.options.drops is None:
                self.frames.drops = self._packets.drops = False
        return is_recording

    def _read_connection(self, connection: Connection) -> str:
        """Why it ended."""
        self._last_frame = time.monotonic()
        try:
            for packet in connection.packets(self._stopped.is_set):
                if packet is not None:
                    self._packets.put(packet)
                if self._is_stalled():
                    return f"no new frame for {self.options.stall_seconds:g} s"
        except av.error.ExitError:
            return f"nothing was received for {self.options.stall_seconds:g} s"
        except (av.FFmpegError, OSError) as error:
            return f"the connection broke ({reason_of(error)})"
        return "the stream ended"

    def _is_stalled(self) -> bool:
        """Does the source send, but no new frame? Frames that wait for the model are no fault of it."""
        passed = time.monotonic() - self._last_frame
        return self.is_live and not len(self.frames) and passed > self.options.stall_seconds

    def _pause(self, reason: str) -> None:
        if self._is_given_up():
            tries = f"{self._num_failures} tr{'y' if self._num_failures == 1 else 'ies'} in a row without a frame"
            raise VideoError(f"{self.address.name}: {reason}; given up after {tries}")
        seconds = pause_seconds(self._num_failures, self.options.longest_pause_seconds)
        self._num_failures += 1
        _log.warning("%s: connecting again in %.1f s", self.address.name, seconds)
        wait(seconds, self._stopped.is_set)

    # ---- the thread that decodes

    def _decode(self) -> None:
        decoding: _Decoding | None = None
        clock = None
        while not self._stopped.is_set() and (entry := self._packets.get()) is not None:
            if isinstance(entry, Opened):
                if clock is None:
                    clock = StreamClock(is_live=self.is_live, may_jump_ahead=entry.connection.may_jump_ahead)
                else:
                    self.num_reconnects += 1
                decoding = _Decoding(self, entry, clock)
                continue
            assert decoding is not None
            if isinstance(entry, Received):
                decoding.feed(entry)
            elif isinstance(entry, Closed):
                decoding.finish()
                self.is_connected = False

    def _deliver(self, frame: StreamFrame) -> None:
        self._num_failures = 0
        self._has_frames = True
        self.frames.put(frame)
        self._last_frame = time.monotonic()
        self.is_connected = True


class _Decoding:
    """Decodes one connection."""

    def __init__(self, source: LiveSource, opened: Opened, clock: StreamClock) -> None:
        self._source = source
        self._connection = opened.connection
        self._context = opened.connection.context
        self._clock = clock
        self._reason = opened.reason
        self._needs_key = True
        self._to_rgb: Callable[[VideoFrame], np.ndarray] | None = None
        self._received: dict[int, float] = {}  # presentation time of a packet -> when it came
        self._last_received = 0.0
        clock.start_connection()

    def feed(self, entry: Received) -> None:
        """Decode a packet; what cannot be decoded is left out up to the next key frame."""
        packet = entry.packet
        if entry.follows_loss:
            self._needs_key = True
            if self._context.is_open:
                self._context.flush_buffers()
        if packet.is_corrupt or (self._needs_key and not packet.is_keyframe):
            self._source.num_skipped += not entry.follows_loss
            self._needs_key = True
            return
        self._last_received = entry.received
        if packet.pts is not None:
            self._received[packet.pts] = entry.received
            if len(self._received) > _REMEMBERED_PACKETS:
                del self._received[next(iter(self._received))]
        try:
            frames = self._context.decode(packet)
        except (av.FFmpegError, ValueError):  # a lost packet, or a header that has not come yet
            self._source.num_skipped += 1
            self._needs_key = True
            self._context.flush_buffers()
            return
        self._needs_key = False
        for frame in frames:
            self._take(frame)

    def finish(self) -> None:
        """What the decoder still holds comes out."""
        try:
            frames = self._context.decode(None) if self._context.is_open else []
        except (av.FFmpegError, ValueError):
            frames = []
        for frame in frames:
            self._take(frame)
        let_go(self._context)

    def _take(self, frame: VideoFrame) -> None:
        if frame.is_corrupt:
            self._source.num_skipped += 1
            return
        own = None if frame.pts is None else frame.pts * self._connection.time_base
        received = self._last_received if frame.pts is None else self._received.pop(frame.pts, self._last_received)
        duration = (frame.duration or 0) * self._connection.time_base or self._connection.frame_seconds
        time_of = self._clock.place(own, duration, received)
        if time_of is None:
            self._source.num_late += 1
            return
        reason = self._reason or ("the stream's clock jumped" if time_of.is_break and self._source.is_live else "")
        self._reason = ""
        if self._to_rgb is None:
            self._to_rgb = _rgb_of(FrameConverter(frame, rotate=True))
        self._source._deliver(
            StreamFrame(
                picture=frame,
                to_rgb=self._to_rgb,
                num_bytes=sum(plane.buffer_size for plane in frame.planes),
                time_seconds=time_of.time_seconds,
                end_seconds=time_of.end_seconds,
                received=received - time_of.behind_seconds,
                break_reason=reason,
            )
        )


def _rgb_of(converter: FrameConverter) -> Callable[[VideoFrame], np.ndarray]:
    def rgb(frame: VideoFrame) -> np.ndarray:
        pixels = np.empty((*converter.shown, 3), np.uint8)
        converter.write(frame, pixels)
        return pixels

    return rgb
