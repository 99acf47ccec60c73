import pytest

from kinema.inference.stream.clock import StreamClock


def times_of(clock, frames):
    """Frames are (own seconds, received); those that are left out give None."""
    placed = [clock.place(own, 0.04, received) for own, received in frames]
    return [None if time is None else round(time.time_seconds, 6) for time in placed]


def test_times_of_a_connection_are_the_streams_own_from_0_on():
    clock = StreamClock(is_live=True)
    assert times_of(clock, [(7.0, 100.0), (7.04, 100.03), (7.1, 100.11)]) == [0, 0.04, 0.1]


def test_a_frame_that_is_not_newer_is_left_out():
    clock = StreamClock(is_live=True)
    assert times_of(clock, [(7.0, 100.0), (7.0, 100.01), (6.9, 100.02), (7.04, 100.04)]) == [0, None, None, 0.04]


def test_behind_a_new_connection_the_time_on_the_wall_has_passed():
    clock = StreamClock(is_live=True)
    times_of(clock, [(7.0, 100.0), (7.04, 100.04)])
    clock.start_connection()
    placed = clock.place(500.0, 0.04, 103.0)
    assert (placed.time_seconds, placed.is_break) == (pytest.approx(3.0), True)
    assert clock.place(500.04, 0.04, 103.04).time_seconds == pytest.approx(3.04)


def test_frames_that_a_server_kept_do_not_let_the_clock_run_ahead_with_every_connection():
    clock = StreamClock(is_live=True)
    received = 100.0
    for _ in range(10):  # each connection begins with 2 s of frames at once, and is cut after 5 s
        clock.start_connection()
        for frame in range(125):
            last = clock.place(frame / 25, 0.04, received + max(0.0, frame / 25 - 2.0))
        received += 3.0 + 1.0
    assert 0 <= last.time_seconds - (received - 1.0 - 100.0) < 2.1


@pytest.mark.parametrize(("step", "expected"), [(-5.0, 1.0), (60.0, 1.0), (-0.5, None), (9.0, 9.0)])
def test_a_live_clock_that_jumps_continues_at_the_time_on_the_wall(step, expected):
    clock = StreamClock(is_live=True)
    clock.place(50.0, 0.04, 100.0)
    placed = clock.place(50.0 + step, 0.04, 101.0)
    assert (None if placed is None else placed.time_seconds) == (expected and pytest.approx(expected))
    assert placed is None or placed.is_break == (expected == 1.0)


def test_a_live_pause_is_no_jump():
    clock = StreamClock(is_live=True)
    clock.place(50.0, 0.04, 100.0)
    placed = clock.place(110.0, 0.04, 160.0)
    assert (placed.time_seconds, placed.is_break) == (60.0, False)


def test_a_recording_continues_where_its_last_frame_ended():
    clock = StreamClock(is_live=False, may_jump_ahead=True)
    assert times_of(clock, [(50.0, 0.0), (50.04, 0.0), (3.0, 0.0), (3.04, 0.0), (99.0, 0.0)]) == [
        0,
        0.04,
        0.08,
        0.12,
        0.16,
    ]
    steady = StreamClock(is_live=False, may_jump_ahead=False)
    assert times_of(steady, [(0.0, 0.0), (60.0, 0.0)]) == [0, 60], "a still picture of a screen recording"


def test_without_times_of_its_own_a_live_stream_has_those_of_the_wall_and_a_recording_its_rate():
    live = StreamClock(is_live=True)
    assert times_of(live, [(None, 100.0), (None, 100.5), (None, 100.5), (None, 102.0)]) == [0, 0.5, 0.501, 2.0]
    assert times_of(StreamClock(is_live=False), [(None, 5.0)] * 3) == [0, 0.04, 0.08]


def test_a_delay_on_the_way_is_known_by_the_promptest_frame():
    clock = StreamClock(is_live=True)
    assert clock.place(0.0, 0.04, 100.0).behind_seconds == 0
    assert clock.place(1.0, 0.04, 101.7).behind_seconds == pytest.approx(0.7, abs=1e-3)
    assert clock.place(2.0, 0.04, 101.9).behind_seconds == 0, "it was received sooner than all before"


def test_a_camera_whose_clock_is_slow_is_not_behind_more_and_more():
    clock = StreamClock(is_live=True)
    behind = [clock.place(second, 0.04, 100.0 + second * 1.00005).behind_seconds for second in range(36000)]
    assert max(behind) < 0.01
