"""Loaders whose processes are killed, stopped or cannot send: each ends with one error, and no process stays behind."""

import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.datasets import ReproducibleLoader, build_dataloader
from kinema.datasets.handover import pack
from kinema.datasets.workers import CANNOT_SEND, _iterators, describe_end
from kinema.errors import LoaderError
from waiting import wait_until

TESTS = str(Path(__file__).parents[1])
# Scripts import `loader` from this file.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), TESTS]))}


class Clips:
    """Clips of `size` bytes; sample 5 does `act`."""

    def __init__(self, act=None, size=100_000, count=24):
        self.act, self.size, self.count = act, size, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == 5 and self.act is not None:
            self.act()
        return {"inputs": torch.full((self.size,), index % 251, dtype=torch.uint8), "label": torch.tensor(index)}


def loader(act=None, *, num_workers=2, **options):
    dataset = Clips(act, **{key: options.pop(key) for key in ("size", "count") if key in options})
    sampler = dict(type="DefaultSampler", shuffle=False)
    return build_dataloader(
        dict(dataset=dataset, batch_size=2, num_workers=num_workers, sampler=sampler, **options), seed=0
    )


def send(number):
    return lambda: os.kill(os.getpid(), number)


ENDS = {
    "killed": (
        send(signal.SIGKILL),
        r"a process that reads clips was killed \(out of memory\?\): use fewer such processes",
    ),
    "crashed": (
        send(signal.SIGSEGV),
        r"a process that reads clips crashed or was ended \(SIGSEGV\): --workers 0 reads",
    ),
    "no shared memory": (send(signal.SIGBUS), r"crashed \(SIGBUS\): /dev/shm .* may be full"),
    "ended": (lambda: os._exit(3), r"a process that reads clips ended \(exit status 3\): --workers 0"),
    "ended well": (lambda: os._exit(0), r"a process that reads clips ended \(exit status 0\)"),
    "cannot send": (lambda: os._exit(CANNOT_SEND), r"could not send a batch: /dev/shm .*docker run --shm-size=2g"),
}


STUCK = r"no process that reads clips gave a batch for 2 seconds: .*train_dataloader\.timeout"


@pytest.mark.parametrize("persistent_workers", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_a_worker_that_ends_is_one_error(end, persistent_workers):
    act, message = ENDS[end]
    others = set(torch.multiprocessing.active_children())  # of loaders that are not collected yet
    data = loader(act, persistent_workers=persistent_workers)
    with pytest.raises(LoaderError, match=message):
        list(data)
    assert set(torch.multiprocessing.active_children()) <= others


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_sends_is_one_error():
    """A large message through a pipe is cut in the middle; whoever reads it would wait for its rest."""
    script = """
        import os, signal, threading, time
        import kinema.datasets.handover as handover
        from test_workers import loader
        from kinema.errors import LoaderError

        handover.free_shared_memory = lambda: 0.0  # as in a container with little; the processes are forked
        data = loader(size=50_000_000, num_workers=1)
        batches = iter(data)
        next(batches)
        worker = __import__("multiprocessing").active_children()[0]
        threading.Thread(target=lambda: (time.sleep(0.5), os.kill(worker.pid, signal.SIGKILL))).start()
        time.sleep(1.0)  # the next message waits half-written in the pipe
        try:
            for _ in batches:
                pass
        except LoaderError as error:
            print("one error:", error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=600, cwd=Path(__file__).parent, env=ENVIRONMENT, check=False
    )
    assert "one error: a process that reads clips was killed" in result.stdout, result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_stopped_worker_is_one_error_after_the_time_that_was_set():
    others = set(torch.multiprocessing.active_children())
    with pytest.raises(LoaderError, match=STUCK):
        list(loader(send(signal.SIGSTOP), timeout=2))
    assert set(torch.multiprocessing.active_children()) <= others


@pytest.mark.slow
def test_a_worker_that_stops_with_a_message_on_its_way_is_one_error_too():
    """The message waits in the pipe, but its tensor's file must be fetched from the worker."""
    others = set(torch.multiprocessing.active_children())
    batches = iter(loader(num_workers=1))
    next(batches)
    (worker,) = set(torch.multiprocessing.active_children()) - others
    (iterator,) = (one for one in _iterators if one._workers == [worker])
    iterator._timeout = 2  # only from here on: a busy machine may let the first batch wait
    time.sleep(1)
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(LoaderError, match=STUCK):
        list(batches)
    assert set(torch.multiprocessing.active_children()) <= others


def test_a_worker_of_another_loader_that_is_killed_is_noticed_too():
    others = set(torch.multiprocessing.active_children())
    training = loader(num_workers=1, persistent_workers=True)
    list(training)
    (worker,) = set(torch.multiprocessing.active_children()) - others
    validation = iter(loader(num_workers=1))
    next(validation)
    os.kill(worker.pid, signal.SIGKILL)
    wait([worker.sentinel])  # not join, after which torch no longer sees it
    with pytest.raises(LoaderError, match=r"was killed \(out of memory\?\)"):
        list(validation)
    with pytest.raises(LoaderError, match=r"was killed \(out of memory\?\)"):
        list(training)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="this system does not say who sent a signal")
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.slow
def test_a_signal_to_the_whole_group_leaves_the_workers_to_the_main_process(start, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")  # NumPy has threads in a process that is not forked
    others = set(torch.multiprocessing.active_children())
    batches = iter(loader(multiprocessing_context=start, persistent_workers=True))
    for _ in range(2):  # one of each worker: both have started
        next(batches)
    workers = set(torch.multiprocessing.active_children()) - others
    assert len(workers) == 2
    for worker in workers:
        for name in ("TERM", "USR1"):
            subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)  # not from this process
    assert sum(1 for _ in batches) == 10
    for worker in workers:
        worker.terminate()  # from this process
        worker.join(timeout=60)
        assert worker.exitcode == 0


def test_a_batch_that_cannot_be_sent_is_an_error():
    class Odd(Clips):
        def __getitem__(self, index):
            return {"lock": threading.Lock()}

    data = build_dataloader(
        dict(dataset=Odd(), batch_size=2, num_workers=1, sampler=dict(type="DefaultSampler")), seed=0
    )
    with pytest.raises(TypeError, match="cannot pickle"):
        list(data)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_batches_without_shared_memory_are_the_same(monkeypatch, caplog, num_workers):
    def content():
        return [(batch["inputs"], batch["label"]) for batch in loader(num_workers=num_workers)]

    shared = content()
    assert "goes through pipes" not in caplog.text
    monkeypatch.setattr("kinema.datasets.handover.free_shared_memory", lambda: 0.0)
    monkeypatch.setattr(ReproducibleLoader, "_has_said_slow", False)
    piped = content()
    assert len(shared) == len(piped) == 12
    for (inputs, labels), (other_inputs, other_labels) in zip(shared, piped, strict=True):
        assert all(map(torch.equal, inputs + labels, other_inputs + other_labels))
    assert caplog.text.count("has too little room for batches of 0.2 MB") == 1


@pytest.mark.slow
def test_few_open_files_are_enough():
    """Each tensor in shared memory is an open file in both processes."""
    script = """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        from test_workers import loader
        print(sum(1 for batch in loader(size=40_000, count=400)))
        list(loader(size=40_000, count=400))  # keeps them all
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=600, cwd=Path(__file__).parent, env=ENVIRONMENT, check=False
    )
    assert result.stdout == "200\n"
    assert "LoaderError: too many open files: raise the limit (ulimit -n) or use fewer" in result.stderr


TENSORS = [
    torch.arange(12).reshape(3, 4),
    torch.tensor(3.5),
    torch.zeros(0, 3),
    torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    torch.randn(4).bfloat16(),
    torch.tensor([True, False]),
    torch.randn(300, 300).t(),
    torch.randn(10, 10)[:, ::2],
    torch.randn(3, dtype=torch.complex64),
    torch.randn(3, dtype=torch.complex64).conj(),
    torch.randn(3, 3).to_sparse(),
    torch.randn(3, requires_grad=True),
]


@pytest.mark.parametrize("tensor", TENSORS, ids=range(len(TENSORS)))
@pytest.mark.parametrize("room", [0.0, float("inf")])
def test_a_packed_tensor_is_the_same_tensor(tensor, room, monkeypatch):
    monkeypatch.setattr("kinema.datasets.handover.free_shared_memory", lambda: room)
    batch = pack({"a": tensor, "b": [tensor], "c": np.arange(3)}).unpack()
    assert batch["a"].dtype == tensor.dtype
    assert batch["b"][0] is batch["a"]
    dense, expected = (one.to_dense() if one.is_sparse else one for one in (batch["a"], tensor))
    assert torch.equal(dense, expected)
    if not tensor.is_sparse and tensor.is_contiguous(
        memory_format=torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    ):
        assert batch["a"].stride() == tensor.stride()


def test_a_pinned_message_gives_its_batch_once(monkeypatch):
    message = pack({"a": torch.arange(3)})
    monkeypatch.setattr("torch.utils.data._utils.pin_memory.pin_memory", lambda data: data)  # there may be no device
    assert torch.equal(message.pin_memory().unpack()["a"], torch.arange(3))


@pytest.mark.parametrize(("code", "message"), [(-99, r"\(signal 99\)"), (1, "exit status 1")])
def test_an_end_is_described(code, message):
    assert re.search(message, describe_end(code))


@pytest.mark.parametrize("persistent", [True, False])
def test_workers_end_with_a_loader_that_is_lost_in_a_cycle(persistent, monkeypatch):
    data = loader(int, persistent_workers=persistent)
    batches = iter(data)
    next(batches)
    workers, ended, failed = list(batches.gi_frame.f_locals["batches"]._workers), [], []
    join, close = type(workers[0]).join, Connection._close

    def joined(worker, timeout=None):
        join(worker, timeout)
        if worker in workers:
            ended.append(worker.exitcode)  # None: it was waited for in vain

    def closed(connection):
        try:
            close(connection)
        except OSError as error:  # twice
            failed.append(error)

    monkeypatch.setattr(type(workers[0]), "join", joined)
    monkeypatch.setattr(Connection, "_close", closed)
    cycle = [data, batches]
    cycle.append(cycle)
    del data, batches, cycle

    def have_ended():
        gc.collect()  # another thread may be collecting just now
        feeders = [thread for thread in threading.enumerate() if thread.name.startswith("QueueFeederThread")]
        return len(ended) >= len(workers) and not feeders

    wait_until(have_ended)
    assert ended[:2] == [0, 0]
    assert not failed
