"""Ends a process that makes no progress, and shows where it stands."""

import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from kinema.datasets.workers import running_workers
from kinema.diagnosis.stacks import ANSWER_SECONDS, stacks_of_this_process
from kinema.distributed import get_rank, get_world_size
from kinema.errors import TrainingError
from kinema.peers import first_cause, is_ending

POLLS = 10  # of the progress in a timeout
MOST_SECONDS = 5.0  # between two of them


class Watchdog:
    """While it is entered: without progress for a time, show all stacks and end the process with exit status 1.

    A thread watches. Where it cannot run, since code in C holds Python's lock, faulthandler's timer
    writes the stacks of this process to stderr, and ends it, a little later.

    Of several processes one is stuck, and the others wait for it: all of them notice, each shows its
    own stacks, and they end together.

    Args:
        timeout: seconds without progress.
        path: file that the stacks are appended to.
        growing: folder whose growth is progress, too.
    """

    def __init__(self, timeout: float, path: Path, *, growing: Path | None = None) -> None:
        self.timeout, self.path, self.growing = timeout, path, growing
        self.poll_seconds = min(MOST_SECONDS, timeout / POLLS)
        self._doing, self._count = "starting", 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def note(self, doing: str) -> None:
        """There is progress.

        Args:
            doing: what the process does next.
        """
        self._doing = doing
        self._count += 1

    def __enter__(self) -> "Watchdog":
        self._arm()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if not is_ending():
            faulthandler.cancel_dump_traceback_later()

    def _arm(self) -> None:
        # There is only one such timer; and a stream that replaces stderr, as in a notebook, may be no file.
        if not is_ending() and sys.__stderr__ is not None:
            seconds = 2 * self.timeout + 4 * self.poll_seconds
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)

    def _watch(self) -> None:
        seen, polls = self._progress(), 0
        # Counted, not timed: a machine that was suspended has made no progress, and is not stuck.
        while not self._ended.wait(self.poll_seconds):
            now, polls = self._progress(), polls + 1
            if now != seen:
                seen, polls = now, 0
                self._arm()
            elif polls * self.poll_seconds >= self.timeout:
                self._end()

    def _progress(self) -> tuple[int, int]:
        return self._count, 0 if self.growing is None else _size(self.growing)

    def _end(self) -> None:
        """Show the stacks, wait until the other processes have shown theirs, and end."""
        self._arm()  # this thread runs: the timer of a process that cannot would end it before the line is shown
        rank, size = get_rank(), get_world_size()
        which = f"process {rank} of {size}, " if size > 1 else ""
        title = f"{which}pid {os.getpid()} on {socket.gethostname()}, {self._doing}"
        text = f"==== {time.strftime('%Y-%m-%d %H:%M:%S')} {title}\n{stacks_of_this_process()}\n"
        for handler in logging.getLogger("kinema").handlers:
            handler.flush()
        sys.stderr.write(text)
        sys.stderr.flush()
        with suppress(OSError), self.path.open("a", encoding="utf-8") as file:  # the disk may be what is stuck
            file.write(text)
        if size > 1:
            time.sleep(2 * self.poll_seconds + ANSWER_SECONDS)
        cause = first_cause(
            TrainingError(
                f"no progress for {self.timeout:g} seconds ({self._doing}): the stacks of all threads and of the"
                f" processes that read clips are above and in {self.path}; a larger --hang-timeout waits longer, and"
                " --resume continues from the last checkpoint"
            )
        )
        if cause is not None:  # no other process has said it
            sys.stderr.write(f"error: {cause}\n")
            sys.stderr.flush()
        for pid, _ in running_workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os._exit(1)


def _size(folder: Path) -> int:
    """Bytes of all files in a folder and in those in it."""
    total = 0
    for entry in folder.rglob("*"):
        try:
            total += entry.stat().st_size
        except OSError:  # renamed or removed in the meantime
            continue
    return total
