"""One clock for a stream whose own starts anew at every connection and may jump."""

from dataclasses import dataclass

# A step back by less is a muxer's error: the frame is left out. A larger one is another clock.
_BACK_SECONDS = 1.0
# A step ahead by more than the time that passed, or in a recording by more at all, is another clock.
_AHEAD_SECONDS = 10.0
_LEAST_STEP = 1e-3  # between frames that come at once and have no times
# Clocks of cameras run faster or slower than ours by at most this share.
_DRIFT = 1e-4


@dataclass(frozen=True)
class FrameTime:
    """When a frame is shown, on the clock of the stream.

    Attributes:
        time_seconds: of its start; the first frame of all is at 0.
        end_seconds: of its end.
        is_break: the stream's own clock began anew at this frame.
        behind_seconds: how much later it was received than the promptest frame of its connection.
    """

    time_seconds: float
    end_seconds: float
    is_break: bool
    behind_seconds: float


class StreamClock:
    """Gives every frame a time that only grows, and that passes as fast as the time on the wall.

    Within a connection, times are the stream's own. Where it begins anew or jumps, a live stream
    continues at the time that passed on the wall; a recording continues where the last frame ended.

    Args:
        is_live: the source is a camera, or an address that is sent as it happens.
        may_jump_ahead: in a recording of this format a step of over 10 s is another clock.
    """

    def __init__(self, *, is_live: bool, may_jump_ahead: bool = False) -> None:
        self._is_live = is_live
        self._may_jump_ahead = may_jump_ahead
        self._offset: float | None = None  # of this connection: time minus the stream's own
        self._begins_anew = False  # and no frame has come since
        self._origin = 0.0  # wall clock when the first frame of all came
        self._promptest: float | None = None  # smallest "received minus time" of this connection
        self._step = 0.0
        self._last_own = self._last_received = 0.0
        self._last_time: float | None = None
        self._last_end = 0.0

    def start_connection(self) -> None:
        """What comes next has another clock of its own."""
        self._offset = self._promptest = None

    def place(self, own_seconds: float | None, duration_seconds: float, received: float) -> FrameTime | None:
        """The time of the next frame; None where it is not newer than the last.

        Args:
            own_seconds: the stream's own time of it; None where it has none.
            duration_seconds: of the frame; 0 where it is not known.
            received: by `time.monotonic`, when the frame's packet arrived.
        """
        is_start = self._offset is None
        is_jump = not is_start and own_seconds is not None and self._jumps(own_seconds, received)
        if is_start or is_jump:
            self._begins_anew = True
            self._offset = self._next_time(received) - (own_seconds or 0.0)
            self._promptest = None
        assert self._offset is not None
        if own_seconds is None:
            time = self._time_of_wall(received) if self._is_live else self._last_end
        else:
            time = own_seconds + self._offset
            self._last_own = own_seconds
        is_first = self._last_time is None
        if self._last_time is not None:
            if time <= self._last_time:
                return None
            if not self._begins_anew:
                self._step = time - self._last_time
        if is_first:
            self._origin = received - time
        is_break = self._begins_anew and not is_first
        self._begins_anew = False
        behind = self._behind(time, received)
        self._last_time, self._last_received = time, received
        self._last_end = time + (duration_seconds or self._step)
        return FrameTime(time, self._last_end, is_break, behind)

    def _next_time(self, received: float) -> float:
        """Of a frame whose own time says nothing."""
        if self._last_time is None:
            return 0.0
        # Not after the last frame at all costs: a server that sends its last seconds again with each
        # connection would let the clock run ahead. What is not newer is left out.
        return received - self._origin if self._is_live else self._last_end

    def _time_of_wall(self, received: float) -> float:
        """Of a frame of a live stream without times."""
        if self._last_time is None:
            return 0.0
        return max(received - self._origin, self._last_time + _LEAST_STEP)

    def _jumps(self, own_seconds: float, received: float) -> bool:
        step = own_seconds - self._last_own
        if step < -_BACK_SECONDS:
            return True
        passed = received - self._last_received if self._is_live else 0.0
        return (self._is_live or self._may_jump_ahead) and step > passed + _AHEAD_SECONDS

    def _behind(self, time: float, received: float) -> float:
        delay = received - time
        if self._promptest is None:
            self._promptest = delay
        else:
            passed = max(0.0, received - self._last_received)
            self._promptest = min(self._promptest + _DRIFT * passed, delay)
        return delay - self._promptest
