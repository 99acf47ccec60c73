"""One connection to a live source: opened within the limits of videos, read packet by packet."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from kinema.errors import VideoError
from kinema.inference.stream.addresses import SourceKind, StreamAddress, camera_format, more_formats_of, protocols_of
from kinema.video.contexts import new_context
from kinema.video.formats import format_whitelist
from kinema.video.limits import VideoLimits, Watch
from kinema.video.source import decoder_limits, first_stream, reason_of

_MAY_JUMP_AHEAD = frozenset({"mpegts", "mpegtsraw", "mpeg"})
_ANALYSED_SECONDS = 3  # of a stream, before it is known what is in it


@dataclass(eq=False)
class Connection:
    """An open source.

    Attributes:
        container: for the thread that reads.
        stream: its video.
        context: a decoder of its own, which outlives the container.
        time_base: seconds of one unit of the stream's times.
        frame_seconds: how long a frame lasts, as the stream says; 0 where it does not.
        is_recording: it has an end that is known now: a file behind an address.
        may_jump_ahead: see `StreamClock`.
    """

    container: InputContainer
    stream: VideoStream
    context: VideoCodecContext
    time_base: float
    frame_seconds: float
    is_recording: bool
    may_jump_ahead: bool

    def packets(self, is_stopped: Callable[[], bool]) -> Iterator[Packet | None]:
        """Packets of the video as they come; None for one of something else.

        Raises:
            av.FFmpegError: the connection broke or is silent.
        """
        while not is_stopped():
            try:
                for packet in self.container.demux():
                    if packet.size == 0:  # a flush at the end, of each stream
                        continue
                    yield packet if packet.stream_index == self.stream.index else None
                    if is_stopped():
                        return
            except IndexError:  # another stream began: a new generator continues behind it
                continue
            return


def connect(
    address: StreamAddress, limits: VideoLimits, *, open_seconds: float, silent_seconds: float, pipe: "Pipe | None"
) -> Connection:
    """Open a live source.

    Args:
        address: of it.
        limits: what it may ask for.
        open_seconds: that opening may take.
        silent_seconds: that it may send nothing later on.
        pipe: what standard input is read through; None for other sources.

    Raises:
        VideoError: it cannot be opened, holds no video, or is above a limit.
    """
    watch = Watch(limits, address.name, is_remote=address.kind is SourceKind.ADDRESS)
    container = failure = None
    try:
        container = av.open(
            address.target if pipe is None else pipe,
            "r",
            format=camera_format() if address.kind is SourceKind.CAMERA else None,
            metadata_errors="replace",
            options=_options_of(address, limits),
            timeout=(open_seconds, silent_seconds),
        )
        return _checked(container, watch)
    except VideoError:
        if container is not None:
            container.close()
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        failure = error
    if container is not None:
        container.close()
    # The error of an address holds its password.
    raise VideoError(f"{address.name}: {_why_not(failure, address, open_seconds)}")


def _options_of(address: StreamAddress, limits: VideoLimits) -> dict[str, str]:
    options = {
        "format_whitelist": format_whitelist((*more_formats_of(address), *limits.more_formats)),
        "protocol_whitelist": protocols_of(address, limits),
        "analyzeduration": str(_ANALYSED_SECONDS * 1_000_000),
        "fpsprobesize": "2",  # frames by which the rate is guessed; they would be old by then
        "max_streams": str(int(min(limits.streams + 1, 2**31 - 1))),
        **decoder_limits(limits),
    }
    if address.scheme in ("rtsp", "rtsps"):
        options["rtsp_transport"] = "tcp"
        options["allowed_media_types"] = "video"
    return options


def _checked(container: InputContainer, watch: Watch) -> Connection:
    stream = first_stream(container, watch)
    rate = stream.average_rate or stream.guessed_rate
    assert stream.time_base is not None
    context = new_context(stream)
    context.thread_type = "SLICE"  # threads over frames would hold frames back
    # Errors are said; they would be patched up from the pictures before, which would be stale.
    context.options = {"err_detect": "explode+crccheck", **decoder_limits(watch.limits)}
    names = set(container.format.name.split(","))
    return Connection(
        container,
        stream,
        context,
        float(stream.time_base),
        float(1 / rate) if rate else 0.0,
        is_recording=bool(container.duration),
        may_jump_ahead=bool(names & _MAY_JUMP_AHEAD),
    )


def _why_not(error: Exception, address: StreamAddress, open_seconds: float) -> str:
    if isinstance(error, av.error.ExitError):
        return f"nothing was received within {open_seconds:g} s"
    if isinstance(error, av.error.ArgumentError):
        return f"is in no format that Kinema opens ({reason_of(error)}), see docs/stream.md"
    if address.kind is SourceKind.STDIN:
        hint = "; an MP4 file has its table at the end: give its path, or pipe MPEG-TS or Matroska"
        return f"holds no video that can be read from its start on ({reason_of(error)}{hint})"
    return f"cannot be opened ({reason_of(error)})"


class Pipe:
    """Standard input as FFmpeg reads it: as many bytes as there are, and an end when reading is to stop.

    Args:
        file: a binary file.
        is_stopped: whether nothing more is to be read.
    """

    def __init__(self, file: Any, is_stopped: Callable[[], bool]) -> None:
        self._descriptor = file.fileno()
        self._is_stopped = is_stopped

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none at the end."""
        if sys.platform != "win32":  # which waits for sockets alone
            while not select.select([self._descriptor], [], [], 0.2)[0]:
                if self._is_stopped():
                    return b""
        return b"" if self._is_stopped() else os.read(self._descriptor, count)


def wait(seconds: float, is_stopped: Callable[[], bool]) -> None:
    """Pause, but not longer than until reading is to stop."""
    end = time.monotonic() + seconds
    while not is_stopped() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
