"""Packets between the thread that reads and the one that decodes."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from av.packet import Packet

from kinema.inference.stream.connection import Connection


class Opened(NamedTuple):
    """A connection begins."""

    connection: Connection
    reason: str  # why the one before ended; "" for the first


class Received(NamedTuple):
    """A packet of the video."""

    packet: Packet
    received: float  # by time.monotonic
    follows_loss: bool  # packets before it gave way


class Closed(NamedTuple):
    """The connection ended; what the decoder still holds can come out."""


Entry = Opened | Received | Closed


class PacketQueue:
    """What was read and is not decoded yet.

    Where decoding is slower than the stream, all that waits gives way, and decoding continues at a
    key frame: pictures would be wrong without those that they refer to.

    Args:
        span_seconds: how long a packet may wait.
        most_bytes: that packets may take.
        drops: packets give way; else reading waits.
        clock: gives the time in seconds.
    """

    def __init__(
        self, span_seconds: float, *, most_bytes: int, drops: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.drops = drops
        self.num_dropped = 0
        self._span_seconds = span_seconds
        self._most_bytes = most_bytes
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._num_bytes = 0
        self._lost = False
        self._is_ended = False
        self._changed = threading.Condition()

    def open(self, connection: Connection, reason: str) -> None:
        """A connection begins."""
        self._append(Opened(connection, reason))

    def close(self) -> None:
        """The connection ended."""
        self._append(Closed())

    def _append(self, entry: Entry) -> None:
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def put(self, packet: Packet) -> None:
        """Append a packet."""
        received = self._clock()
        with self._changed:
            while not self.drops and self._num_bytes > self._most_bytes and not self._is_ended:
                self._changed.wait()
            if self.drops and self._is_full(received):
                self._drop()
            self._entries.append(Received(packet, received, self._lost))
            self._num_bytes += packet.size
            self._lost = False
            self._changed.notify_all()

    def _is_full(self, now: float) -> bool:
        oldest = next((entry.received for entry in self._entries if isinstance(entry, Received)), now)
        return now - oldest > self._span_seconds or self._num_bytes > self._most_bytes

    def _drop(self) -> None:
        kept = [entry for entry in self._entries if not isinstance(entry, Received)]
        self.num_dropped += len(self._entries) - len(kept)
        self._entries = deque(kept)
        self._num_bytes = 0
        self._lost = True

    def get(self) -> Entry | None:
        """What comes next; None when nothing will."""
        with self._changed:
            self._changed.wait_for(lambda: self._entries or self._is_ended)
            if not self._entries:
                return None
            entry = self._entries.popleft()
            if isinstance(entry, Received):
                self._num_bytes -= entry.packet.size
            self._changed.notify_all()
            return entry

    def end(self) -> None:
        """Nothing will follow."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()
