"""`MultiProcessTestCase`: each test runs in several processes at once and passes where it passes in all of them."""

import atexit
import contextlib
import importlib
import multiprocessing
import os
import sys
import tempfile
import traceback
import types
import unittest
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from operator import attrgetter
from threading import BrokenBarrierError
from typing import Any

import kinema.compat

_FAILED = 10  # exit status of a process whose test failed
_SKIPPED = 11
_SECONDS_FOR_OTHERS = 20.0  # one that has crashed does not say so


class MultiProcessTestCase(unittest.TestCase):
    """A test case whose `setUp` calls `_spawn_processes`.

    The tests run in the processes, where `rank` is 0, 1, ...; the process that starts them waits.

    Args:
        methodName: the test.
    """

    MAIN_PROCESS_RANK = -1

    def __init__(self, methodName: str = "runTest") -> None:  # noqa: N803 - unittest's name
        super().__init__(methodName)
        self.rank = self.MAIN_PROCESS_RANK
        test = getattr(self, methodName, None)
        if test is not None:
            setattr(self, methodName, types.MethodType(self.join_or_run(test), self))

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return 2

    @property
    def timeout(self) -> float:
        """Seconds that a test may take."""
        return 300.0

    @property
    def is_master(self) -> bool:
        """Is this the process of rank 0?"""
        return self.rank == 0

    def setUp(self) -> None:
        """Prepare; subclasses call `_spawn_processes` afterwards."""
        super().setUp()
        self.processes: list[SpawnProcess] = []
        with tempfile.NamedTemporaryFile(delete=False) as file:
            self.file_name = file.name

    def tearDown(self) -> None:
        """End processes that still run."""
        super().tearDown()
        for process in self.processes:
            process.kill()
        self.processes = []

    def prepare_subprocess(self) -> None:
        """Is called in each process before its test."""

    def join_or_run(self, test: Callable[[], Any]) -> Callable[[Any], None]:
        """The test in a process with a rank; in the one that started these: wait for them."""

        def run(self: Any) -> None:
            if self.rank == self.MAIN_PROCESS_RANK:
                self._join_processes()
            else:
                test()

        return run

    def _spawn_processes(self) -> None:
        start = multiprocessing.get_context("spawn")
        kind = type(self)
        place = (kind.__module__, kind.__qualname__, self._testMethodName, self.file_name)
        self._passed = start.Barrier(self.world_size)  # lives while processes that start read it
        for rank in range(self.world_size):
            arguments = (rank, *place, kinema.compat.is_installed(), self._passed)
            process = start.Process(target=_run, args=arguments, daemon=True)
            process.start()
            self.processes.append(process)

    def _join_processes(self) -> None:
        for rank, process in enumerate(self.processes):
            process.join(self.timeout)
            if process.exitcode is None:
                raise TimeoutError(f"the test did not end within {self.timeout:g} s in process {rank}")
        codes = [process.exitcode for process in self.processes]
        if _SKIPPED in codes:
            self.skipTest("skipped in its processes")
        if any(codes):
            raise AssertionError(f"the processes ended with {codes}: see their errors above")


def _run(rank: int, module: str, kind: str, test: str, file_name: str, uses_compat: bool, passed: Barrier) -> None:
    """Run one test in this process, and end it without taking the interpreter down.

    Threads of a test's process group live on where something still refers to the group; one that
    finds the interpreter on its way out aborts the process, after the test has passed. The others
    may still read what this process sent last: it stays until they have passed, or one has not.
    """
    if uses_compat:
        kinema.compat.install()
    case = attrgetter(kind)(importlib.import_module(module))(test)
    case.rank, case.file_name = rank, file_name
    status = 0
    try:
        case.prepare_subprocess()
        getattr(case, test)()
    except unittest.SkipTest:
        status = _SKIPPED
    except BaseException:  # an assertion as well
        passed.abort()
        traceback.print_exc()
        status = _FAILED
    with contextlib.suppress(BrokenBarrierError):
        passed.wait(_SECONDS_FOR_OTHERS)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
