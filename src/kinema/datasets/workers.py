"""The processes that read clips, watched.

One that was killed, crashed, is stuck or cannot send ends the run with one clear line.

Torch's iterator reports a dead worker by an exception of its handler of SIGCHLD, wherever the main
program just is, or by whatever the broken connection gives; it waits for ever for one that is
stopped, or whose sending thread failed.
"""

import contextlib
import faulthandler
import multiprocessing.queues
import multiprocessing.resource_tracker
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import DataLoader, _MultiProcessingDataLoaderIter

from kinema.datasets.handover import SHARED_MEMORY, shared_memory_size
from kinema.errors import LoaderError

TIMEOUT_SECONDS = 1800.0  # without a batch
POLL_SECONDS = 1.0
END_SECONDS = 60.0  # for a killed process to be gone; on a busy machine more than a moment
STACKS_SIGNAL = getattr(signal, "SIGUSR2", None)  # none on Windows
CANNOT_SEND = 86  # exit status of a worker that could not send a batch

_WHAT = "a process that reads clips"
_iterators: "weakref.WeakSet[WatchedIterator]" = weakref.WeakSet()
_CURE = "use fewer such processes (--workers, num_workers) or smaller batches"


class WorkerStart:
    """First thing that a worker calls.

    Args:
        then: the user's function, which gets the worker's number.
        stacks: what a worker writes the stacks of its threads into when it receives
            `STACKS_SIGNAL`, even where it is stuck in C; None: nothing.
    """

    def __init__(self, then: Callable[[int], None] | None, stacks: Connection | None = None) -> None:
        self.then, self.stacks = then, stacks

    def __call__(self, worker_id: int) -> None:
        if self.stacks is not None and STACKS_SIGNAL is not None and signal.getsignal(STACKS_SIGNAL) == signal.SIG_DFL:
            faulthandler.register(STACKS_SIGNAL, file=self.stacks.fileno(), all_threads=True)
        _leave_stopping_to_parent()
        # The main process cannot see a failure in the thread that sends, but it can see an end.
        multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_end_worker)  # type: ignore[attr-defined]
        if self.then is not None:
            self.then(worker_id)


def running_workers() -> list[tuple[int, Connection]]:
    """Process ids of all workers of this process's loaders, and where each writes its stacks."""
    return [
        (worker.pid, iterator.stacks)
        for iterator in list(_iterators)
        if not iterator._shutdown
        for worker in iterator._workers
        if worker.pid is not None and worker.exitcode is None
    ]


def _leave_stopping_to_parent() -> None:
    """SIGTERM and SIGUSR1 to a whole group of processes do not end a worker.

    Slurm, systemd and `timeout` send them so. The main process finishes its step, for which it
    needs the workers, and then ends them; SIGTERM from it counts.
    """
    if hasattr(signal, "SIGUSR1") and signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # Linux: a handler would not know the sender
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_for, args=(os.getppid(),), daemon=True).start()


@contextlib.contextmanager
def _terminations_held() -> Iterator[None]:
    """No thread of a process started meanwhile takes SIGTERM; here it comes late, but comes.

    A process that is not forked imports NumPy, which may start threads, before `WorkerStart` is
    called: each of them would let the signal end the process.
    """
    if not hasattr(signal, "sigwaitinfo"):
        yield
        return
    multiprocessing.resource_tracker.ensure_running()  # its own start would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_for(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def _end_worker(error: Exception, obj: Any) -> None:
    os._exit(CANNOT_SEND)


def _let_go(*parts: Any) -> None:
    """Nothing is left to do for what was kept until now."""


class WatchedIterator(_MultiProcessingDataLoaderIter):
    """Torch's iterator over the batches of several processes; what goes wrong with them is a `LoaderError`.

    Args:
        loader: its `timeout` is the longest wait for a batch, in seconds; 0 for `TIMEOUT_SECONDS`.

    Attributes:
        stacks: end of a pipe from which to read what the workers write, see `WorkerStart`.

    Raises:
        LoaderError: the processes cannot be started.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._has_given_up = False
        start = loader.worker_init_fn
        self.stacks, stacks = Pipe(duplex=False)
        if isinstance(start, WorkerStart):
            start.stacks = stacks
        _iterators.add(self)
        is_main_thread = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGCHLD) if is_main_thread and hasattr(signal, "SIGCHLD") else None
        try:
            method = (loader.multiprocessing_context or multiprocessing).get_start_method()
            is_bare = method == "fork" or not isinstance(start, WorkerStart)
            with contextlib.nullcontext() if is_bare else _terminations_held():
                super().__init__(loader)
        except (OSError, ImportError) as error:
            raise LoaderError(
                f"cannot start {loader.num_workers} processes that read clips ({error}): use --workers 0"
                f" (num_workers=0), or see to {_shared_memory()}, memory and the limits of the system"
            ) from error
        finally:
            stacks.close()  # the workers have it
            if handler is not None:
                signal.signal(
                    signal.SIGCHLD, handler
                )  # torch's raises wherever the program is; see _end_if_a_worker_failed
        # The garbage collector would close the files of the queues before it asks a lost iterator to end: workers would
        # not hear that they should end, and torch would close the same numbers again, which may be other files by then.
        # It leaves alone what is known elsewhere.
        parts = (self._workers, self._index_queues, self._worker_result_queue, self._workers_done_event)
        weakref.finalize(self, _let_go, *parts).atexit = False

    def __next__(self) -> Any:
        """The next batch."""
        return self._guarded(super().__next__)

    def _reset(self, loader: DataLoader, first_iter: bool = False) -> None:
        if first_iter:
            super()._reset(loader, first_iter)
        else:  # workers that stay are asked whether they are ready
            self._guarded(partial(super()._reset, loader, first_iter))

    def _guarded(self, wait_for: Callable[[], Any]) -> Any:
        """What `wait_for` returns; a failure of a worker in the meantime is a LoaderError."""
        try:
            return self._interruptible(wait_for)
        except LoaderError:
            self._abandon()
            raise
        except (RuntimeError, OSError, EOFError) as error:
            problem = self._explain(error)
            if problem is None:
                raise
            self._abandon()
            raise LoaderError(problem) from error

    def _interruptible(self, wait_for: Callable[[], Any]) -> Any:
        """Call a function that waits.

        Meanwhile the death of a worker ends the wait, even in the middle of a message.
        """
        is_main_thread = threading.current_thread() is threading.main_thread()
        handler = None
        try:
            if is_main_thread and hasattr(signal, "SIGCHLD"):
                handler = signal.signal(signal.SIGCHLD, self._end_if_a_worker_failed)
            signal_handling._error_if_any_worker_fails()  # one that died before
            return wait_for()
        finally:
            if handler is not None:
                signal.signal(signal.SIGCHLD, handler)

    def _end_if_a_worker_failed(self, number: int, frame: Any) -> None:
        """Handler of SIGCHLD: batches end here when a worker failed.

        An exception of a handler may come between any two lines, and leave a socket or a lock
        behind. The end of the connection comes where it is read.
        """
        try:
            signal_handling._error_if_any_worker_fails()
        except RuntimeError:
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, self._worker_result_queue._reader.fileno(), inheritable=False)  # type: ignore[attr-defined]
            os.close(nothing)

    def _get_data(self) -> Any:
        limit = self._timeout or TIMEOUT_SECONDS
        polls = 0  # not a clock: a run that was suspended must not run out of time
        while polls * POLL_SECONDS < limit:
            is_there, data = self._poll(limit)
            if is_there:
                return data
            polls += 1
            if self._pin_memory and not self._pin_memory_thread.is_alive():
                raise LoaderError("the thread that pins the memory of batches has ended: try pin_memory=False")
        raise LoaderError(self._stuck())

    def _poll(self, limit: float) -> tuple[bool, Any]:
        """Wait `POLL_SECONDS` for a batch."""
        if self._pin_memory or not self._worker_result_queue._reader.poll(POLL_SECONDS):  # type: ignore[attr-defined]
            return self._try_get_data(POLL_SECONDS if self._pin_memory else 0)
        # A message is there, but to take it needs its sender: for the rest of it, and for the files
        # of its tensors. One that is stopped answers never; when it is killed, the wait ends.
        guard = threading.Timer(limit, self._give_up)
        guard.daemon = True
        guard.start()
        try:
            return self._try_get_data(POLL_SECONDS)
        finally:
            guard.cancel()

    def _give_up(self) -> None:
        self._has_given_up = True
        for worker in self._workers:
            worker.kill()

    def _stuck(self) -> str:
        return (
            f"no process that reads clips gave a batch for {self._timeout or TIMEOUT_SECONDS:g} seconds: one is stuck"
            " or stopped; a slow disk or network may take a larger timeout (train_dataloader.timeout, in seconds)"
        )

    def _explain(self, error: BaseException) -> str | None:
        """One line about a worker that ended; None when none did."""
        if self._has_given_up:
            return self._stuck()
        if "Too many open files" in str(error) or "ancdata" in str(error):
            return f"too many open files: raise the limit (ulimit -n) or {_CURE}"
        # Those of other loaders too: torch looks at all of them, and a validation may notice that
        # one of the training is gone.
        workers = {
            worker.sentinel: worker for iterator in _iterators if not iterator._shutdown for worker in iterator._workers
        }
        if isinstance(
            error, OSError | EOFError
        ):  # a connection breaks, and a sentinel is ready, a moment before the process is gone
            for sentinel in wait(workers, timeout=2):
                workers[sentinel].join(timeout=END_SECONDS)  # type: ignore[index]
        ended = [worker.exitcode for worker in workers.values() if worker.exitcode is not None]
        if not ended:
            return None
        return describe_end(next((code for code in ended if code), 0))

    def _abandon(self) -> None:
        """End all workers at once.

        Torch's own way waits for each, which one that is stopped never ends.
        """
        self._shutdown = True
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.join(timeout=END_SECONDS)
        if self._worker_pids_set:
            signal_handling._remove_worker_pids(id(self))
            self._worker_pids_set = False
        if self._pin_memory:
            self._pin_memory_thread_done_event.set()
            self._worker_result_queue._writer.close()  # type: ignore[attr-defined] # ends a read in the middle of a message
            self._pin_memory_thread.join(timeout=5)
        for queue in self._index_queues:
            queue.cancel_join_thread()
            queue.close()


def describe_end(code: int) -> str:
    """One line about a worker that ended with an exit status, or minus a signal's number."""
    if code == CANNOT_SEND:
        return (
            f"{_WHAT} could not send a batch: {_shared_memory()}; make it larger (docker run --shm-size=2g), raise"
            f" ulimit -n, or {_CURE}"
        )
    if code == -signal.SIGKILL:
        return f"{_WHAT} was killed (out of memory?): {_CURE}; --resume continues a training"
    if code == -signal.SIGBUS:
        return (
            f"{_WHAT} crashed (SIGBUS): {_shared_memory()} may be full; make it larger (docker run --shm-size=2g) or"
            f" {_CURE}"
        )
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"{_WHAT} crashed or was ended ({name}): --workers 0 reads in the main process and shows where"
    return f"{_WHAT} ended (exit status {code}): --workers 0 reads in the main process and shows where"


def _shared_memory() -> str:
    size = shared_memory_size()
    return SHARED_MEMORY if size == float("inf") else f"{SHARED_MEMORY} ({size / 2**20:.0f} MB)"
