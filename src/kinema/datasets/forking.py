"""Processes made by `fork` that begin.

A forked process takes over the locks that other threads of its parent held at that moment, and
waits for ever for one that is needed before its first line. CPython 3.11 has such a lock: for its
thread states, which a thread of gloo or CUDA takes when it first calls into Python. About one of
five hundred trainings on two processes met it. Such a process has done nothing yet: it is ended and
another one takes its place.
"""

import logging
import multiprocessing
import sys
from multiprocessing.connection import Connection, Pipe
from multiprocessing.context import BaseContext

logger = logging.getLogger("kinema")

BEGIN_SECONDS = 10.0  # a healthy process takes some milliseconds
MAX_STARTS = 5


def beginning_context(context: BaseContext | None = None) -> BaseContext | None:
    """The context, with processes that begin where it forks.

    Args:
        context: one of `multiprocessing`; None: its default one.
    """
    method = multiprocessing.get_start_method() if context is None else context.get_start_method()
    return _BeginningForkContext() if method == "fork" else context


if sys.platform != "win32":

    class Process(multiprocessing.context.ForkProcess):
        """A process that says that it has begun.

        Raises:
            OSError: none of `MAX_STARTS` processes began.
        """

        _begun: Connection | None = None

        def start(self) -> None:
            task = {name: vars(self)[name] for name in ("_target", "_args", "_kwargs")}  # a start removes them
            for _ in range(MAX_STARTS):
                begins, self._begun = Pipe(duplex=False)
                try:
                    super().start()
                    self._begun.close()  # the process has it
                    if begins.poll(BEGIN_SECONDS) or not self.is_alive():
                        return
                finally:
                    begins.close()
                    self._begun.close()
                logger.warning("process %s hangs where it was forked: another one is started", self.pid)
                self.kill()
                self.join()
                vars(self).update(task, _popen=None)
            raise OSError(f"{MAX_STARTS} processes in a row did not begin within {BEGIN_SECONDS:g} seconds")

        def run(self) -> None:
            if self._begun is not None:
                self._begun.send_bytes(b"begun")
                self._begun.close()
            super().run()

    class _BeginningForkContext(multiprocessing.context.ForkContext):
        Process = Process
