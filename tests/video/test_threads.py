"""One reader used by several threads, in a process of its own: what goes wrong there kills Python or waits for ever."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MakeVideo = Callable[..., Path]

START = """
import os, pickle, random, sys, threading
import numpy as np
from kinema.errors import KinemaError
from kinema.video import VideoReader, open_backend

path, num_threads, backend = sys.argv[1], int(sys.argv[2]), sys.argv[3]
expected = VideoReader(path)[:]
failures = []

def in_threads(*functions):
    def guarded(function):
        try:
            function()
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=guarded, args=(one,)) for one in functions]
    [one.start() for one in threads]
    return threads

def finish(threads):
    [one.join() for one in threads]
    if failures:
        raise failures[0]
    print("survived")
"""

EVERY_METHOD = """
reader = VideoReader(path, num_threads=num_threads, backend=backend)

def work(seed):
    rng = random.Random(seed)
    calls = [
        lambda i: np.array_equal(reader[i], expected[i]),
        lambda i: np.array_equal(reader.get_batch([i, 0]), expected[[i, 0]]),
        lambda i: len(reader) == len(expected),
        lambda i: reader.width > 0 and reader.height > 0 and reader.fps > 0 and reader.duration_seconds > 0,
        lambda i: len(reader.timestamps_seconds) == len(expected),
        lambda i: np.array_equal(reader.frames_at([reader.timestamps_seconds[i]])[0], expected[i]),
        lambda i: np.array_equal(pickle.loads(pickle.dumps(reader))[i], expected[i]),
        lambda i: all(np.array_equal(a, b) for a, b in zip(reader, expected[:3])),
    ]
    if backend == "pyav":
        calls += [lambda i: reader.find_damage() is None, lambda i: reader.index.num_frames == len(expected)]
    for _ in range(40):
        assert rng.choice(calls)(rng.randrange(len(expected)))

finish(in_threads(*[lambda seed=seed: work(seed) for seed in range(4)]))
"""

OPEN_BACKEND = """
video = open_backend(backend, path, num_threads=num_threads)

def work(seed):
    rng = random.Random(seed)
    for _ in range(60):
        i = rng.randrange(len(expected))
        assert np.array_equal(video.decode(np.array([i]))[0], expected[i])
        assert video.num_frames == len(expected) and video.width and video.fps and len(video.timestamps_seconds)

finish(in_threads(*[lambda seed=seed: work(seed) for seed in range(4)]))
"""

CLOSING = """
for round in range(20):
    reader = VideoReader(path, num_threads=num_threads, backend=backend)

    def work(seed):
        rng = random.Random(seed)
        try:
            for _ in range(1000):
                i = rng.randrange(len(expected))
                assert np.array_equal(reader[i], expected[i])
        except ValueError as error:
            assert "closed" in str(error)

    threads = in_threads(*[lambda seed=seed: work(seed) for seed in range(3)])
    threading.Event().wait(0.01 * random.random())
    reader.close()
    [one.join() for one in threads]
finish([])
"""

FORKS = """
reader = VideoReader(path, num_threads=num_threads, backend=backend)
stop = threading.Event()

def work(seed):
    rng = random.Random(seed)
    while not stop.is_set():
        i = rng.randrange(len(expected))
        assert np.array_equal(reader[i], expected[i])

threads = in_threads(*[lambda seed=seed: work(seed) for seed in range(2)])
for round in range(10):
    child = os.fork()
    if child == 0:
        good = all(np.array_equal(reader[i], expected[i]) for i in (5, 0, len(expected) - 1))
        reader.close()
        os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
stop.set()
finish(threads)
"""

FORKS_AMONG_OPENING = """
shared = VideoReader(path, num_threads=num_threads, backend=backend)
stop = threading.Event()

def open_often(seed):
    rng = random.Random(seed)
    while not stop.is_set():
        i = rng.randrange(len(expected))
        with VideoReader(path, num_threads=num_threads) as reader:
            assert np.array_equal(reader[i], expected[i]) and np.array_equal(shared[i], expected[i])

threads = in_threads(*[lambda seed=seed: open_often(seed) for seed in range(3)])
for round in range(60):
    child = os.fork()
    if child == 0:
        with VideoReader(path, num_threads=num_threads) as reader:
            os._exit(0 if np.array_equal(reader[7], shared[7]) and np.array_equal(shared[3], expected[3]) else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
stop.set()
finish(threads)
"""

READERS_OF_ONE_FILE = """
from kinema.video import index_cache
index_cache.CACHED_BYTES = 3000  # every reader forgets what another has found

def work(seed):
    for round in range(40):
        with VideoReader([path, path + ".copy"][(round + seed) % 2]) as reader:
            assert len(reader) == len(expected) and np.array_equal(reader[round % 20], expected[round % 20])

finish(in_threads(*[lambda seed=seed: work(seed) for seed in range(4)]))
"""


def run(script: str, path: Path, num_threads: int, backend: str = "pyav") -> None:
    command = [
        sys.executable,
        "-W",
        "ignore::DeprecationWarning",
        "-c",
        START + script,
        path,
        str(num_threads),
        backend,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr


@pytest.mark.parametrize("num_threads", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "script", [EVERY_METHOD, OPEN_BACKEND, CLOSING, FORKS], ids=["all", "backend", "close", "fork"]
)
def test_threads_that_share_a_reader_take_turns(script: str, num_threads: int, make_video: MakeVideo) -> None:
    run(script, make_video(), num_threads)


@pytest.mark.slow
@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test_forks_while_other_threads_open_and_read_leave_the_child_able_to_read(
    num_threads: int, make_video: MakeVideo
) -> None:
    """Starting a decoder takes locks inside FFmpeg and the C library, which a fork would leave taken."""
    run(FORKS_AMONG_OPENING, make_video(), num_threads)


@pytest.mark.parametrize("script", [OPEN_BACKEND, CLOSING], ids=["backend", "close"])
def test_threads_that_share_a_reader_of_opencv_take_turns(script: str, make_video: MakeVideo) -> None:
    exact = script.replace("np.array_equal", "np.allclose").replace("expected[i])", "expected[i], atol=8)")
    run(exact, make_video(), 1, "opencv")


def test_readers_of_several_threads_share_the_remembered_indices(make_video: MakeVideo) -> None:
    path = make_video()
    Path(f"{path}.copy").write_bytes(path.read_bytes())
    run(READERS_OF_ONE_FILE, path, 1)
