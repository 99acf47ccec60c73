import threading

import numpy as np
import pytest

from kinema.inference.stream.frame_queue import FrameQueue, StreamFrame


def frame(number, *, reason="", num_bytes=10):
    return StreamFrame(number, np.full, num_bytes, number / 10, (number + 1) / 10, 100.0, reason)


def drained(queue):
    queue.end()
    frames = []
    while (taken := queue.get()) is not None:
        frames.append(taken)
    return frames


def test_the_oldest_frames_give_way_and_the_newest_window_stays():
    queue = FrameQueue(1.0, most_bytes=10**6, drops=True)
    assert all(queue.put(frame(number)) for number in range(35))
    frames = drained(queue)
    assert [taken.picture for taken in frames] == list(range(25, 35)), "1 s of 10 frames a second"
    assert queue.num_dropped == 25
    assert [taken.num_dropped for taken in frames] == [25] + [0] * 9, "the loss is noted where it is"


def test_memory_is_a_bound_too_and_one_frame_always_fits():
    queue = FrameQueue(60.0, most_bytes=35, drops=True)
    for number in range(6):
        queue.put(frame(number))
    assert [taken.picture for taken in drained(queue)] == [3, 4, 5]
    queue = FrameQueue(0.01, most_bytes=5, drops=True)
    for number in range(3):
        queue.put(frame(number))
    frames = drained(queue)
    assert [(taken.picture, taken.num_dropped) for taken in frames] == [(2, 2)]


def test_a_break_is_not_lost_with_its_frame():
    queue = FrameQueue(0.3, most_bytes=10**6, drops=True)
    for number in range(8):
        queue.put(frame(number, reason="cut" if number == 2 else ""))
    first, *rest = drained(queue)
    assert (first.picture, first.break_reason, first.num_dropped) == (5, "cut", 5)
    assert not any(taken.break_reason for taken in rest)


def test_a_queue_that_does_not_drop_lets_the_source_wait():
    queue = FrameQueue(0.3, most_bytes=10**6, drops=False)
    source = threading.Thread(target=lambda: [queue.put(frame(number)) for number in range(20)] and queue.end())
    source.start()
    taken, longest = [], 0
    while (one := queue.get(5.0)) is not None:
        longest = max(longest, len(queue))
        taken.append(one.picture)
    source.join()
    assert taken == list(range(20))
    assert longest <= 3
    assert (queue.is_ended, queue.num_dropped) == (True, 0)


def test_the_end_frees_a_source_that_waits_and_an_error_comes_after_the_last_frame():
    queue = FrameQueue(0.1, most_bytes=10**6, drops=False)
    queue.put(frame(0))
    answers = []
    source = threading.Thread(target=lambda: answers.append(queue.put(frame(1))))
    source.start()
    queue.end(OSError("broken"))
    source.join()
    assert answers == [False]
    assert queue.get().picture == 0
    with pytest.raises(OSError, match="broken"):
        queue.get()


def test_no_frame_within_the_time_is_none():
    queue = FrameQueue(1.0, most_bytes=10, drops=True)
    assert queue.get(0.001) is None
    assert not queue.is_ended
