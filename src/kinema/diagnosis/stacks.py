"""Where the threads of this process, and the processes that read clips for it, are just now."""

import os
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from kinema.datasets.workers import STACKS_SIGNAL, running_workers

ANSWER_SECONDS = 2.0
_STATES = {"T": "stopped by a signal", "t": "stopped by a debugger", "D": "waiting for a disk or network", "Z": "ended"}


def stacks_of_this_process() -> str:
    """The stacks of all threads but the calling one, the main thread first, and of all loader processes."""
    frames = sys._current_frames()
    frames.pop(threading.get_ident(), None)
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().ident
    parts = []
    for ident in sorted(frames, key=lambda ident: ident != main):
        stack = "".join(traceback.format_stack(frames[ident]))
        parts.append(f"-- thread {names.get(ident, ident)}, most recent call last\n{stack}")
    for pid, stacks in running_workers():
        parts.append(f"-- process {pid}, which reads clips{_state(pid)}\n{_stacks_of_worker(pid, stacks)}")
    return "\n".join(parts)


def _stacks_of_worker(pid: int, stacks: Connection) -> str:
    """What faulthandler writes when a worker is asked."""
    if STACKS_SIGNAL is None:
        return "  (its stacks can only be had on Linux and macOS)\n"
    try:
        os.kill(pid, STACKS_SIGNAL)
    except ProcessLookupError:
        return "  (it has ended)\n"
    content, patience = b"", ANSWER_SECONDS
    while stacks.poll(patience):
        chunk = os.read(stacks.fileno(), 1 << 16)
        if not chunk:
            break
        content, patience = content + chunk, 0.2
    return content.decode(errors="replace") or "  (it did not answer)\n"


def _state(pid: int) -> str:
    """Such as ", stopped by a signal": what Linux says of a process that does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state = stat.rpartition(")")[2].split()[:1]
    return f", {_STATES[state[0]]}" if state and state[0] in _STATES else ""
