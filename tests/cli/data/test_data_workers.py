"""Processes that crash, hang or fail: the task is reported, the others are done."""

import multiprocessing
import os
import signal
import sys
import time

import pytest

from kinema.cli.data.workers import Failure, run_isolated


def work(task):
    if task == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "exit":
        sys.exit(3)  # no `Exception`, as little as what ends a thread of a library
    if task == "hang":
        time.sleep(1000)
    if task == "raise":
        raise KeyError("no\nsuch thing")
    return task.upper()


def outcomes(tasks, **options):
    return {one.task: one.result for one in run_isolated(work, tasks, **options)}


def test_a_process_that_dies_or_raises_costs_its_own_task_only():
    found = outcomes(["a", "crash", "b", "kill", "raise", "c", "exit", "d"], num_workers=2)
    assert {task: found[task] for task in "abcd"} == {"a": "A", "b": "B", "c": "C", "d": "D"}
    assert found["crash"] == Failure("the process that read it crashed (SIGSEGV)")
    assert found["kill"] == Failure("the process that read it was killed (out of memory?)")
    assert found["exit"] == Failure("the process that read it ended (exit status 3)")
    assert found["raise"] == Failure("KeyError: 'no\\nsuch thing'")


def test_a_task_that_hangs_is_given_up():
    found = outcomes(["hang", "a", "b"], num_workers=1, timeout_seconds=lambda task: 0.5 if task == "hang" else 600)
    assert found == {"hang": Failure("took more than 0.5 s"), "a": "A", "b": "B"}
    assert outcomes(["hang"], num_workers=1, timeout_seconds=0.5) == {"hang": Failure("took more than 0.5 s")}


def test_leaving_early_ends_the_processes():
    others = set(multiprocessing.active_children())
    iterator = run_isolated(work, ["a", "hang", "hang"], num_workers=2)
    assert next(iterator).result == "A"
    assert set(multiprocessing.active_children()) - others
    iterator.close()
    assert set(multiprocessing.active_children()) <= others


def test_no_tasks_need_no_processes():
    assert outcomes([], num_workers=4) == {}


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match="need at least 1 worker, got 0"):
        outcomes(["a"], num_workers=0)
    with pytest.raises(ValueError, match="the time limit must be positive, got 0 seconds"):
        outcomes(["a"], num_workers=1, timeout_seconds=0)


def refuse_to_start():
    raise AssertionError("never called")


class Unloadable:
    """A function that the other process cannot get."""

    def __call__(self, task):
        return task

    def __reduce__(self):
        return refuse_to_start, ()


def test_processes_that_cannot_start_are_an_error():
    with pytest.raises(RuntimeError, match="a worker process did not start"):
        list(run_isolated(Unloadable(), ["a"], num_workers=1))
