"""When a process of a distributed run fails: the first error is shown once, and all processes end.

A process that waits for another one in an exchange does not learn that this one raised an error,
was killed, or lost its machine: it waits until a timeout of minutes, or fails with a message about
a connection. So each process runs a thread that writes a sign of life into the run's key-value
store, looks after the next process, and ends its own when any has failed.
"""

import faulthandler
import os
import re
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from kinema.errors import ProcessError

INTERVAL_SECONDS = 3.0
SILENT_INTERVALS = 12  # without a sign of life, after which a process on another machine is lost
GRACE_SECONDS = 8.0  # for a process to end by itself once another has failed

_EXCHANGE = re.compile(r"gloo|NCCL|ProcessGroup|TCPStore|Connection (closed|reset)|Broken pipe|Socket", re.IGNORECASE)
_watch: "PeerWatch | None" = None


class Store(Protocol):
    """What is used of `torch.distributed.Store`; no call of it waits."""

    def set(self, key: str, value: str) -> None:
        """Set a value."""

    def get(self, key: str) -> bytes:
        """A value that is there."""

    def add(self, key: str, amount: int) -> int:
        """Add to a counter, which begins at 0."""

    def check(self, keys: list[str]) -> bool:
        """Are these keys there?"""

    def compare_set(self, key: str, expected: str, desired: str) -> bytes:
        """Set a value that is what is expected, "" for none; returns what is there then."""


class PeerWatch:
    """Signs of life of the processes of a run.

    Args:
        store: a connection of its own to the run's store.
        rank: number of this process.
        world_size: number of processes.
        keeps_store: does the store end with this process?
    """

    def __init__(self, store: Store, rank: int, world_size: int, *, keeps_store: bool = False) -> None:
        self.store = store
        self.rank = rank
        self.world_size = world_size
        self.keeps_store = keeps_store
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._has_claimed = False
        self._silence: dict[int, tuple[int, int]] = {}  # rank -> last sign of life, intervals since
        self._devnull: IO[str] | None = None
        self._thread = threading.Thread(target=self._run, name="kinema-peers", daemon=True)

    def start(self) -> None:
        """Say which process this is, and watch from now on."""
        self.store.set(f"process/{self.rank}", "\n".join(_identity()))
        self._thread.start()

    def leave(self) -> None:
        """This process ends as it should, or after an error."""
        if self._ended.is_set():
            return
        self._ended.set()
        with suppress(Exception):  # the store may be gone
            if self._devnull is None:
                self.store.set(f"left/{self.rank}", "")
            self.store.set(f"knows/{self.rank}", "")
            deadline = time.monotonic() + 2 * INTERVAL_SECONDS
            # The others learn that the run is over, and how it ended, before the store is gone.
            while self.keeps_store and not self._others_know() and time.monotonic() < deadline:
                time.sleep(0.1)

    def _others_know(self) -> bool:
        others = (rank for rank in range(self.world_size) if rank != self.rank)
        return all(self.store.check([f"knows/{rank}"]) or self._is_gone(rank) for rank in others)

    def claim(self) -> bool:
        """Is this the first failure? Who gets True shows it; all others end in silence."""
        with self._lock:
            if self._has_claimed:  # by the other thread of this process
                return False
            self._has_claimed = True
        own = str(self.rank)
        try:
            return self.store.compare_set("failure", "", own) == own.encode()
        except Exception:  # the store is gone: nobody else can show anything
            return True

    def lost(self, *, wait: bool = True) -> list[int]:
        """The processes that neither live nor left; `wait`: long enough to see signs of life of all."""
        others = [rank for rank in range(self.world_size) if rank != self.rank]
        with suppress(Exception):
            gone = [rank for rank in others if self._is_gone(rank)]
            if gone or not wait:
                return gone
            before = {rank: self.store.add(f"alive/{rank}", 0) for rank in others}
            time.sleep(2.5 * INTERVAL_SECONDS)
            after = {rank: self.store.add(f"alive/{rank}", 0) for rank in others}
            return [rank for rank in others if before[rank] == after[rank] and not self._has_left(rank)]
        return [0] if self.rank else []  # the store is gone, and with it the process that kept it

    def end_soon(self) -> None:
        """End this process in a few seconds, whatever it waits for, unless it ends by itself."""
        if self._devnull is None:
            self._devnull = Path(os.devnull).open("w")  # noqa: SIM115 - open until the process ends
            faulthandler.dump_traceback_later(GRACE_SECONDS, exit=True, file=self._devnull)

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            try:
                failed = self._look()
            except Exception:
                if self._ended.is_set():
                    return
                # Of the processes that see it, one a machine says so.
                if (self.rank == 1 or os.environ.get("LOCAL_RANK", "0") == "0") and self.claim():
                    _say("the connection to process 0 is lost: it was killed, or its machine or network failed")
                failed = True
            if failed:
                self.end_soon()
                return

    def _look(self) -> bool:
        """One look at the store; True: a process has failed."""
        self.store.add(f"alive/{self.rank}", 1)
        if self.store.check(["failure"]):
            self.claim()  # in vain; the store need not be there any more when this process ends
            self.store.set(f"knows/{self.rank}", "")
            return True
        if self.rank and self.store.check(["left/0"]):  # the run is over, and the store may be gone soon
            self._ended.set()
            self.store.set(f"knows/{self.rank}", "")
            return False
        neighbour = (self.rank + 1) % self.world_size
        if not self._is_gone(neighbour) and not self._is_silent(neighbour):
            return False
        if self.claim():
            _say(str(self.lost_error([neighbour])))
        return True

    def _is_gone(self, rank: int) -> bool:
        """Has a process of this machine ended without leaving?"""
        if not self._is_here(rank):
            return False
        _, _, pid, started = self._identity_of(rank)
        return _started(int(pid)) != started and not self._has_left(rank)

    def _is_silent(self, rank: int) -> bool:
        """Has a process of another machine given no sign of life for long?"""
        if self._is_here(rank):  # a long computation may keep its thread from running, but it exists
            return False
        signs, (before, silent) = self.store.add(f"alive/{rank}", 0), self._silence.get(rank, (0, 0))
        silent = silent + 1 if signs == before and signs else 0
        self._silence[rank] = (signs, silent)
        return silent >= SILENT_INTERVALS and not self._has_left(rank)

    def _is_here(self, rank: int) -> bool:
        """Does a process run on this machine, where its number says whether it exists?"""
        own, other = _identity()[0], self._identity_of(rank)[0]
        return bool(own) and own == other

    def _identity_of(self, rank: int) -> tuple[str, ...]:
        key = f"process/{rank}"
        return tuple(self.store.get(key).decode().split("\n")) if self.store.check([key]) else ("", "", "", "")

    def _has_left(self, rank: int) -> bool:
        return self.store.check([f"left/{rank}"])

    def lost_error(self, ranks: list[int]) -> ProcessError:
        """The error that names lost processes."""
        places = []
        for rank in ranks:
            place = f"process {rank} of {self.world_size}"
            with suppress(Exception):
                _, host, pid, _ = self._identity_of(rank)
                place += f" (pid {pid} on {host})"
            places.append(place)
        return ProcessError(
            f"{', '.join(places)} ended without an error: killed (by the system if memory ran out, see dmesg), or its"
            " machine was lost; the other processes end, too"
        )


def watch(store: Store, rank: int, world_size: int, *, keeps_store: bool = False) -> PeerWatch:
    """Watch the other processes from now on, and show errors that nothing catches once for all processes."""
    global _watch
    _watch = PeerWatch(store, rank, world_size, keeps_store=keeps_store)
    _watch.start()
    previous = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        cause = first_cause(error)
        if cause is error:
            previous(kind, error, trace)
        elif cause is not None:
            _say(str(cause))

    sys.excepthook = show
    return _watch


def is_ending() -> bool:
    """Has another process failed, so that this one ends in a few seconds by faulthandler's timer?"""
    return _watch is not None and _watch._devnull is not None


def first_cause(error: BaseException) -> BaseException | None:
    """What to show of an error that ends this process; the other processes then end, too.

    Returns:
        The error; in place of one that only says that an exchange failed, which process was lost;
        or None: another process failed first and shows its error.
    """
    if _watch is None or isinstance(error, KeyboardInterrupt | SystemExit):
        return error
    if isinstance(error, RuntimeError | OSError) and _EXCHANGE.search(f"{type(error).__name__} {error}"):
        lost = _watch.lost()
        if lost:
            error = _watch.lost_error(lost)
    is_first = _watch.claim()
    _watch.end_soon()
    return error if is_first else None


def _identity() -> tuple[str, str, str, str]:
    """Machine and container of this process, host name, number, and when it was started; "" what is not known."""
    space = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return space, socket.gethostname(), str(os.getpid()), _started(os.getpid())


def _started(pid: int) -> str:
    """When a process was started, in the system's ticks; "" of one that is not there or has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _say(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)  # noqa: T201 - not through a log that is lost with the process
