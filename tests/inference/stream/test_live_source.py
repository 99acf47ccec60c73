"""Live sources over real connections; which frame is which is drawn into the pictures."""

import importlib.util
import io
import os
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from rtsp_server import RtspServer

from kinema.errors import VideoError
from kinema.inference.stream.addresses import parse_source
from kinema.inference.stream.connection import Pipe
from kinema.inference.stream.live_source import LiveSource, SourceOptions, pause_seconds
from kinema.video import VideoLimits, write_video
from waiting import MOST_SECONDS


def load_soak():
    path = Path(__file__).parents[3] / "benchmarks" / "stream_soak.py"
    spec = importlib.util.spec_from_file_location("stream_soak", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


soak = load_soak()


def transport_stream(numbers, *, key_every=10, first_time=0):
    """Frames with their numbers drawn in, 25 a second, as MPEG-TS."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(key_every)}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = soak.BITS * soak.BIT_WIDTH, soak.HEIGHT, "yuv420p"
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(soak.draw_number(number), format="rgb24")
            frame.pts = first_time + place
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


@contextmanager
def server_of(answers, *, holds=False):
    """A TCP server that gives each connection the next answer, and then closes it, or keeps it open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve():
            for answer in answers:
                with suppress(OSError):
                    client, _ = server.accept()
                    with suppress(OSError):
                        client.sendall(answer)
                    if holds:
                        kept.append(client)
                    else:
                        client.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for client in kept:
            client.close()


@contextmanager
def reading(address, **options):
    limits = VideoLimits()
    source = LiveSource(parse_source(address, limits), 100.0, SourceOptions(limits=limits, **options))
    source.start()
    try:
        yield source
    finally:
        source.close()


def frames_of(source, count=None, *, into=None):
    frames = [] if into is None else into
    while count is None or len(frames) < count:
        frame = source.frames.get(MOST_SECONDS)
        if frame is None:
            break
        frames.append((soak.read_number(frame.rgb()), frame))
    return frames


def numbers_until_given_up(source):
    frames = []
    with pytest.raises(VideoError, match=r"tcp://.*: the stream ended; given up after 0 tries in a row without a fra"):
        frames_of(source, into=frames)
    return [number for number, _ in frames]


def test_a_connection_that_is_cut_is_made_again_and_time_passes_meanwhile():
    answers = [transport_stream(range(10)), transport_stream(range(100, 130), first_time=5000)]
    with server_of(answers) as address, reading(address) as source:
        frames = frames_of(source, 40)
        assert source.num_reconnects == 1
    assert [number for number, _ in frames] == [*range(10), *range(100, 130)]
    times = [frame.time_seconds for _, frame in frames]
    assert times[:10] == pytest.approx([number / 25 for number in range(10)])
    steps = np.diff(times)
    assert min(steps) > 0
    assert steps[10:] == pytest.approx([0.04] * 29)
    assert [frame.break_reason for _, frame in frames if frame.break_reason] == ["the stream ended"]
    assert frames[10][1].break_reason


def test_a_stream_is_joined_in_the_middle_at_the_first_key_frame():
    content = transport_stream(range(40), key_every=20)
    middle = len(content) // 4 // 188 * 188  # behind the parameter sets, in the first group
    with server_of([content[middle:]]) as address, reading(address) as source:
        numbers = [number for number, _ in frames_of(source, 20)]
        assert numbers == list(range(20, 40))
        assert source.num_skipped > 0


@pytest.mark.parametrize("is_lost", [True, False])
def test_what_is_lost_or_changed_on_the_way_costs_frames_up_to_a_key_frame_and_no_more(is_lost):
    content = bytearray(transport_stream(range(60), key_every=20))
    start, stop = (len(content) // part // 188 * 188 for part in (3, 2))
    if is_lost:
        del content[start:stop]
    else:
        for place in range(start, stop):
            content[place] = 7 * place % 251
    with server_of([bytes(content)]) as address, reading(address, most_reconnects=0) as source:
        numbers = numbers_until_given_up(source)
    assert numbers == sorted(set(numbers)), "no picture is patched up from one before"
    assert numbers[:10] == list(range(10))
    assert 40 in numbers
    assert not set(range(31, 40)) & set(numbers)


def test_a_server_that_sends_nothing_more_counts_as_cut():
    answers = [transport_stream(range(30))] + [
        transport_stream(range(100, 130))
    ] * 99  # more where a busy machine stalls
    with server_of(answers, holds=True) as address, reading(address, stall_seconds=1.0) as source:
        frames = frames_of(source, 50)
    reasons = {frame.break_reason for _, frame in frames if frame.break_reason}
    assert reasons
    assert reasons <= {"no new frame for 1 s", "nothing was received for 1 s"}


def test_it_gives_up_after_some_tries_in_a_row_only_where_that_is_asked_for():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    with reading(address, most_reconnects=0) as source, pytest.raises(VideoError, match="cannot be opened .*refused"):
        source.frames.get(MOST_SECONDS)
    with server_of([transport_stream(range(10))]) as address, reading(address, most_reconnects=0) as source:
        assert numbers_until_given_up(source) == list(range(10))


def test_what_is_no_video_is_tried_again_and_an_address_keeps_its_password(caplog):
    answers = [b"<html>no camera</html>" * 50, transport_stream(range(20))]
    with server_of(answers) as address, reading(address.replace("//", "//me:secret@")) as source:
        assert len(frames_of(source, 15)) == 15
    assert "secret" not in caplog.text
    assert "***@127.0.0.1" in caplog.text
    assert "is in no format that Kinema opens" in caplog.text or "cannot be opened" in caplog.text


def test_limits_of_videos_hold():
    limits = VideoLimits(pixels=1000)
    with server_of([transport_stream(range(20))]) as address:
        source = LiveSource(parse_source(address, limits), 10.0, SourceOptions(limits=limits))
        source.start()
        with pytest.raises(VideoError, match=r"tcp://.*: a frame has 320x64 pixels, above the limit pixels=1000"):
            frames_of(source)
        source.close()


def test_standard_input_is_read_to_its_end_without_a_loss(monkeypatch):
    content = transport_stream(range(80))
    read_end, write_end = os.pipe()

    def write():
        with os.fdopen(write_end, "wb") as pipe:
            for start in range(0, len(content), 1000):
                pipe.write(content[start : start + 1000])

    writer = threading.Thread(target=write)
    with os.fdopen(read_end, "rb") as stdin:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stdin))
        writer.start()
        with reading("-") as source:
            frames = frames_of(source)
            assert source.frames.is_ended
        writer.join()
    assert [number for number, _ in frames] == list(range(80))
    assert not source.is_live


def test_standard_input_without_a_video_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "text").write_text("no video at all\n" * 100)
    with (tmp_path / "text").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with reading("-") as source, pytest.raises(VideoError, match="standard input: "):
            source.frames.get(MOST_SECONDS)


def test_standard_input_whose_table_is_at_its_end_is_an_error(monkeypatch, tmp_path):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qmax": "2"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(20):
            noise = np.random.default_rng(number).integers(0, 255, (240, 320, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode())
    assert len(file.getvalue()) > 200_000, "more than FFmpeg keeps"
    (tmp_path / "late.mp4").write_bytes(file.getvalue())
    with (tmp_path / "late.mp4").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with reading("-") as source, pytest.raises(VideoError, match="perhaps it has to be read from its end"):
            source.frames.get(MOST_SECONDS)


def test_a_pipe_that_is_silent_can_be_left():
    read_end, write_end = os.pipe()
    stopped = threading.Event()
    with os.fdopen(read_end, "rb") as file, os.fdopen(write_end, "wb") as other:
        pipe = Pipe(file, stopped.is_set)
        other.write(b"abc")
        other.flush()
        assert pipe.read(100) == b"abc"
        threading.Timer(0.05, stopped.set).start()
        assert pipe.read(100) == b""


def test_pauses_grow_up_to_a_limit():
    assert [pause_seconds(tries, 30.0) for tries in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert pause_seconds(10**6, 30.0) == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(stall_seconds=0), "stall_seconds must be a positive number of seconds, got 0"),
        (dict(longest_pause_seconds=float("inf")), "longest_pause_seconds must be a positive number"),
        (dict(most_reconnects=-1), "most_reconnects must be 0 or more, got -1"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SourceOptions(**options)


@contextmanager
def web_server_of(answers):
    """An HTTP server: each request gets the next answer, with its length where that is True."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content, has_length = answers.pop(0) if answers else (b"", True)
            self.send_response(200)
            if has_length:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_a_live_stream_over_http_is_connected_again_at_its_end():
    answers = [(transport_stream(range(10)), False), (transport_stream(range(100, 120)), False)]
    with web_server_of(answers) as address, reading(address) as source:
        frames = frames_of(source, 30)
        assert source.is_live
    assert [number for number, _ in frames] == [*range(10), *range(100, 120)]


def test_a_file_behind_an_address_is_read_once_and_without_a_loss(tmp_path):
    path = write_video(tmp_path / "file.mp4", [soak.draw_number(number) for number in range(60)], 25)
    with web_server_of([(path.read_bytes(), True)] * 3) as address, reading(f"{address}file.mp4") as source:
        frames = frames_of(source)
        assert not source.is_live
        assert source.frames.is_ended
        assert source.num_reconnects == 0
    assert [number for number, _ in frames] == list(range(60))
    assert [frame.time_seconds for _, frame in frames] == pytest.approx([number / 25 for number in range(60)])


@pytest.mark.slow
def test_rtsp_comes_over_tcp_without_its_sound_and_survives_a_cut():
    server = RtspServer(soak.draw_number, (soak.BITS * soak.BIT_WIDTH, soak.HEIGHT))
    try:
        with reading(f"rtsp://me:secret@127.0.0.1:{server.port}/stream") as source:
            frames = frames_of(source, 30)
            server.cut()
            frames_of(source, 60, into=frames)
            assert source.num_reconnects == 1
    finally:
        server.close()
    numbers = [number for number, _ in frames]
    assert numbers == sorted(set(numbers))
    assert len([frame for _, frame in frames if frame.break_reason]) == 1
    setups = [(request, headers[b"transport"]) for request, headers in server.requests if request.startswith(b"SETUP")]
    assert len(setups) == 2
    assert all(b"/video " in request and transport.startswith(b"RTP/AVP/TCP") for request, transport in setups)


@pytest.mark.slow
def test_cut_and_frozen_connections_give_no_stale_frame():
    report = soak.soak(15, cuts=5, stall_seconds=1.0)
    assert report.num_stale == 0
    assert report.num_unordered == 0
    assert report.num_connections >= 5
    assert len(report.gaps) >= 4
    assert report.figures.num_windows >= 3
    assert report.memory_end - report.memory_begin < 2 * soak.LEAST_GROWTH_MB
