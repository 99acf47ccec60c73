"""What is opened as a video, what is not, and what messages say of it."""

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoLimits, VideoReader, open_backend, write_video
from kinema.video.formats import VIDEO_FORMATS, format_of, kind_of_file, without_secrets
from kinema.video.limits import Watch
from kinema.video.source import over_network, reason_of, source_name, why_absent

MakeVideo = Callable[..., Path]

# ---- formats

# Suffix, codec, and FFmpeg's name of the muxer where it is not the suffix.
WRITTEN = [
    *[
        (suffix, "libx264", muxer)
        for suffix, muxer in [("mp4", "mp4"), ("mov", "mov"), ("m4v", "mp4"), ("3gp", "3gp"), ("f4v", "f4v")]
    ],
    *[(suffix, "libx264", muxer) for suffix, muxer in [("mkv", "matroska"), ("flv", "flv"), ("h264", "h264")]],
    *[(suffix, "libx264", "mpegts") for suffix in ("ts", "mts", "m2ts")],
    *[(suffix, "mpeg2video", "mpeg") for suffix in ("mpg", "mpeg")],
    *[("vob", "mpeg2video", "vob"), ("mxf", "mpeg2video", "mxf"), ("m2v", "mpeg2video", "mpeg2video")],
    *[
        ("avi", "mpeg4", "avi"),
        ("asf", "wmv2", "asf"),
        ("wmv", "wmv2", "asf"),
        ("webm", "libvpx-vp9", "webm"),
        ("ivf", "libvpx-vp9", "ivf"),
    ],
    *[("hevc", "libx265", "hevc"), ("mjpeg", "mjpeg", "mjpeg"), ("gif", "gif", "gif"), ("apng", "apng", "apng")],
    *[
        ("nut", "mpeg4", "nut"),
        ("y4m", "wrapped_avframe", "yuv4mpegpipe"),
        ("dv", "dvvideo", "dv"),
        ("swf", "flv1", "swf"),
    ],
]


def write_file(path: Path, codec: str, muxer: str) -> Path:
    size = (720, 576) if codec == "dvvideo" else (64, 48)
    formats = {"gif": "rgb8", "apng": "rgb24", "mjpeg": "yuvj420p"}
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = formats.get(codec, "yuv420p")
        stream.codec_context.time_base = Fraction(1, 25)
        for index in range(4):
            image = np.full((size[1], size[0], 3), 50 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("suffix", "codec", "muxer"), WRITTEN, ids=[suffix for suffix, _, _ in WRITTEN])
def test_every_usual_kind_of_video_is_opened(tmp_path: Path, suffix: str, codec: str, muxer: str) -> None:
    try:
        path = write_file(tmp_path / f"a.{suffix}", codec, muxer)
    except (ValueError, av.FFmpegError) as error:
        pytest.skip(f"this FFmpeg does not write it: {error}")
    for source in (path, path.read_bytes()):
        reader = VideoReader(source)
        assert len(reader) == 4
        assert reader[1].ndim == 3


@pytest.mark.parametrize(("suffix", "codec", "muxer"), WRITTEN, ids=[suffix for suffix, _, _ in WRITTEN])
def test_a_format_that_the_first_bytes_give_is_the_one_that_ffmpeg_finds(
    tmp_path: Path, suffix: str, codec: str, muxer: str
) -> None:
    try:
        path = write_file(tmp_path / f"a.{suffix}", codec, muxer)
    except (ValueError, av.FFmpegError) as error:
        pytest.skip(f"this FFmpeg does not write it: {error}")
    name = format_of(path.read_bytes()[:16])
    with av.open(str(path)) as container:
        assert name is None or name in container.format.name.split(",")
    assert name is not None or suffix != "avi"


@pytest.mark.parametrize("head", [b"RIFF\x10\0\0\0AVI ", b"\0\0\0\x18ftypisom"])
def test_what_only_begins_like_a_video_is_none(head: bytes) -> None:
    with pytest.raises(VideoError, match="is no video that can be read|has no video stream"):
        VideoReader(head + bytes(range(1, 200)))


def test_no_format_that_opens_other_files_or_devices_is_on_the_list() -> None:
    others = {
        "concat",
        "hls",
        "dash",
        "image2",
        "image2pipe",
        "tty",
        "lavfi",
        "sdp",
        "rtsp",
        "rtp",
        "sap",
        "imf",
        "webm_dash_manifest",
    }
    assert not others & set(VIDEO_FORMATS)
    assert not [name for name in VIDEO_FORMATS if name.endswith("_pipe")]


def test_a_list_of_videos_is_no_video_unless_asked_for(make_video: MakeVideo, tmp_path: Path) -> None:
    make_video()
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile video.mp4\nfile video.mp4\n")
    with pytest.raises(VideoError, match=r"list\.mp4: is a list of videos for FFmpeg \(ffconcat\), not a video"):
        VideoReader(tmp_path / "list.mp4")
    assert len(VideoReader(tmp_path / "list.mp4", limits=VideoLimits(more_formats=("concat",)))) == 40


def test_a_playlist_is_no_video(make_video: MakeVideo, tmp_path: Path) -> None:
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nvideo.ts\n#EXT-X-ENDLIST\n"
    write_file(tmp_path / "video.ts", "libx264", "mpegts")
    (tmp_path / "list.m3u8").write_text(playlist)
    with pytest.raises(VideoError, match=r"is a playlist \(m3u8\), not a video"):
        VideoReader(tmp_path / "list.m3u8")
    assert len(VideoReader(tmp_path / "list.m3u8", limits=VideoLimits(more_formats=("hls",)))) == 4


@pytest.mark.parametrize(
    "address",
    [
        "concat://a.mp4|b.mp4",
        "subfile,,start,0,end,9,,://a.mp4",
        "unix://a",
        "tcp://127.0.0.1:1",
        "gopher://x/y",
        "async:http://x/y",
        *("ftp://x/y.mp4", "rtsp://x/y", "data://x", "pipe://0", "crypto+file://x", "HLS+http://x"),
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(
        VideoError, match=r"addresses of the kind '.*' are not opened, only http and https; .*more_protocols"
    ):
        VideoReader(address)


def test_a_file_address_is_a_path(make_video: MakeVideo, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a b%.mp4")
    assert len(VideoReader(path.as_uri())) == 20
    assert open_backend("opencv", path.as_uri()).num_frames == 20


@pytest.mark.parametrize(
    "name", ["concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:a.mp4", "pipe:0", "cache:a.mp4", "data:video/mp4,x"]
)
def test_a_name_like_a_protocol_is_a_path(name: str) -> None:
    with pytest.raises(VideoError, match="no such file"):
        VideoReader(name)


# ---- what else files are


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            "is a Git LFS pointer, .*: run `git lfs pull`",
        ),
        (b"<!DOCTYPE html><html><title>404</title></html>", r"is a web page \(HTML\)"),
        (b"\n<html lang=en>", r"is a web page \(HTML\)"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is an XML document"),
        (b'{"error": "not found"}', "is a JSON file"),
        (b"a.mp4 0\nb.mp4 1\n", "is a text file"),
        ("größe\n".encode() * 200, "is a text file"),
        (b"PK\x03\x04" + bytes(40), "is a zip archive, not a video: unpack it first"),
        (b"\x1f\x8b\x08" + bytes(40), "is a gzip file"),
        (b"a.mp4" + bytes(252) + b"ustar\x0000" + bytes(300), "is a tar archive"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "is a PNG image"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "is a JPEG image"),
        (
            b"RIFF\x10\0\0\0WEBPVP8X\n\0\0\0\x02" + bytes(40),
            "is an animated WebP image, which this FFmpeg does not decode",
        ),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(40), "is a WebP image"),
        (b"RIFF\x10\0\0\0WAVEfmt " + bytes(40), "is a WAV file: sound"),
        (b"ID3\x04" + bytes(40), "is an MP3 file: sound"),
        (b"\xff\xfb\x90\x64" + bytes(40), "is an MP3 or AAC file: sound"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (b"\0\0\0\x1cftypavif" + bytes(40), "is an AVIF, HEIF or raw image"),
        (b"\x93NUMPY\x01\0", "is a NumPy array"),
        (bytes(2000), "holds only zeros at its start: the download or copy did not finish"),
    ],
)
def test_a_file_that_is_no_video_is_called_by_what_it_is(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=rf"a\.mp4: {kind}"):
        VideoReader(path)
    with pytest.raises(VideoError, match=rf"<\d+ bytes>: {kind}"):
        VideoReader(content)
    with pytest.raises(VideoError, match=kind):
        open_backend("opencv", io.BytesIO(content))


def test_what_is_not_known_has_no_kind() -> None:
    assert kind_of_file(b"\x01\x02\x03\x04" * 9) is None


def test_a_path_that_is_not_there_says_what_may_be_wrong_with_it(tmp_path: Path) -> None:
    (tmp_path / "a b.mp4").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.mp4").touch()
    (tmp_path / "link.mp4").symlink_to("gone.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    for name, reason in [
        ("none.mp4", "no such file$"),
        ("'a b.mp4'", r"no such file: the path has quotes \('\) in it"),
        ('"a b.mp4"', r'no such file: the path has quotes \("\) in it'),
        (
            "sub\\a.mp4",
            "no such file: the path has backslashes, as on Windows: write it with / instead, with which it is there",
        ),
        ("b\\a.mp4", "no such file: the path has backslashes, as on Windows: write it with / instead$"),
        ("a b.mp4 ", "no such file: the path has spaces at its start or end"),
        ("a%20b.mp4", r"no such file: it is there as .*a b\.mp4, without the %-escapes"),
        ("link.mp4", r"no such file: it is a link to gone\.mp4, which is not there"),
        ("loop.mp4", "is a link that leads back to itself"),
        ("a\0.mp4", "no such file: the path has a zero character"),
        ("sub/a.mp4/b.mp4", "no such file"),
        ("a" * 300, "cannot be opened: File name too long"),
    ]:
        with pytest.raises(VideoError, match=reason):
            VideoReader(f"{tmp_path}/{name}")
    assert "~ is not replaced by the home folder" in why_absent("~/a.mp4")


def test_messages_hold_no_control_characters() -> None:
    assert reason_of(OSError(5, "bad\x1b[31m\rtext")) == r"bad\x1b[31m"
    assert reason_of(ValueError("a\x1b]0;title\x07b")) == r"a\x1b]0;title\x07b"
    assert source_name("http://x/\x1b[2Ja.mp4") == r"http://x/\x1b[2Ja.mp4"


# ---- addresses


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:secret@host/a.mp4", "http://***@host/a.mp4"),
        ("https://token@host:8080/a.mp4?x=1", "https://***@host:8080/a.mp4?x=1"),
        ("http://me:p@ss@host/a.mp4", "http://***@host/a.mp4"),
        (
            "https://host/a.mp4?X-Amz-Signature=abc&X-Amz-Credential=d&n=1",
            "https://host/a.mp4?X-Amz-Signature=***&X-Amz-Credential=***&n=1",
        ),
        ("https://host/a.mp4?sig=a%2Bb&t=2", "https://host/a.mp4?sig=***&t=2"),
        ("http://host/a@b.mp4", "http://host/a@b.mp4"),
        ("http://me:secret@[bad/a.mp4", "http://***@[bad/a.mp4"),
    ],
)
def test_passwords_and_keys_in_addresses_are_left_out_of_messages(address: str, shown: str) -> None:
    assert without_secrets(address) == source_name(address) == shown


class Server:
    """A web server whose answers are functions that write to the connection."""

    def __init__(self, answer: Callable[[Any], None], is_done: threading.Event | None = None) -> None:
        self.answer = answer
        self.is_done = is_done or threading.Event()

    @contextmanager
    def run(self) -> Iterator[str]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(OSError):  # the reader has gone
                    owner.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            self.is_done.set()
            server.shutdown()
            server.server_close()
            thread.join()


def send(handler: Any, content: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()


def test_an_address_is_read(make_video: MakeVideo) -> None:
    path = make_video()
    content = path.read_bytes()

    def answer(handler: Any) -> None:
        send(handler, content)
        handler.wfile.write(content)

    with Server(answer).run() as host:
        reader = VideoReader(f"http://me:secret@{host}/a.mp4")
        assert np.array_equal(reader[3], VideoReader(path)[3])
        with pytest.raises(IndexError, match=r"http://\*\*\*@127.0.0.1:\d+/a\.mp4: there is no frame 99"):
            reader[99]
        with pytest.raises(VideoError, match=r"only backend='pyav' opens addresses, with time-outs"):
            VideoReader(f"http://{host}/a.mp4", backend="opencv")


@pytest.mark.parametrize("sends_parts", [False, True])
def test_a_file_whose_table_is_at_its_end_is_read_from_any_server(tmp_path: Path, sends_parts: bool) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (40, 96, 128, 3), dtype=np.uint8)
    path = tmp_path / "camera.mp4"
    write_video(tmp_path / "web.mp4", frames, 10)
    with av.open(tmp_path / "web.mp4") as web, av.open(path, "w") as camera:
        stream = camera.add_stream_from_template(web.streams.video[0])
        for packet in web.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                camera.mux(packet)
    content = path.read_bytes()
    assert content.index(b"mdat") < content.index(b"moov")
    asked = []

    def answer(handler: Any) -> None:
        asked.append(handler.headers["Authorization"])
        first, _, last = (handler.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")
        if not sends_parts:
            send(handler, content)
            handler.wfile.write(content)
            return
        part = content[int(first) : int(last) + 1 if last else None]
        handler.send_response(206)
        handler.send_header("Content-Length", str(len(part)))
        handler.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")
        handler.end_headers()
        handler.wfile.write(part)

    with Server(answer).run() as host, VideoReader(f"http://me:sec%20ret@{host}/camera.mp4") as reader:
        assert np.array_equal(reader.get_batch([39, 0, 20]), VideoReader(path).get_batch([39, 0, 20]))
    assert (len(asked) == 1) == (not sends_parts)  # in whole it is fetched once
    assert asked[0] == "Basic bWU6c2VjIHJldA=="


def test_a_file_in_whole_is_held_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinema.video.remote.MOST_BYTES", 1000)

    def answer(handler: Any) -> None:
        send(handler, bytes(2000))
        handler.wfile.write(bytes(2000))

    match = r"a\.mp4: the server sends files in whole only, and this one is above .* GiB: download the file first"
    with Server(answer).run() as host, pytest.raises(VideoError, match=match):
        VideoReader(f"http://{host}/a.mp4")


SHORT = VideoLimits(network_seconds=0.5)


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, never answers
        address = f"http://me:secret@127.0.0.1:{server.getsockname()[1]}/x.mp4"
        with pytest.raises(
            VideoError, match=r"\*\*\*@.*x\.mp4: the server sent nothing, or too little, for 0\.5 s"
        ) as caught:
            VideoReader(address, limits=SHORT)
    assert "secret" not in "".join(map(repr, [caught.value, caught.value.__cause__]))


@pytest.mark.slow
def test_a_server_that_stops_halfway_is_given_up(make_video: MakeVideo, tmp_path: Path) -> None:
    for path in (make_video(num_frames=200, size=(320, 240)), write_long(tmp_path / "a.mkv")):
        content = path.read_bytes()
        is_done = threading.Event()

        def answer(handler: Any, content: bytes = content, is_done: threading.Event = is_done) -> None:
            send(handler, content)
            handler.wfile.write(content[: len(content) // 3])
            is_done.wait(30)

        with (
            Server(answer, is_done).run() as host,
            pytest.raises(VideoError, match="the server sent nothing, or too little, for 0.5 s"),
        ):
            len(VideoReader(f"http://{host}/{path.name}", limits=SHORT))


def test_a_server_that_hangs_up_halfway_is_an_error_and_no_shorter_video(tmp_path: Path) -> None:
    content = write_long(tmp_path / "a.mkv").read_bytes()

    def answer(handler: Any) -> None:
        send(handler, content)
        handler.wfile.write(content[: len(content) // 2])

    with Server(answer).run() as host, pytest.raises(VideoError, match="the connection broke|sent nothing|can be read"):
        len(VideoReader(f"http://{host}/a.mkv", limits=SHORT))


def test_a_server_that_trickles_is_given_up(make_video: MakeVideo) -> None:
    content = make_video().read_bytes()
    is_done = threading.Event()

    def answer(handler: Any) -> None:
        send(handler, content)
        for byte in content:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            if is_done.wait(0.2):
                return

    with (
        Server(answer, is_done).run() as host,
        pytest.raises(VideoError, match="the server sent nothing, or too little, for 0.5 s"),
    ):
        VideoReader(f"http://{host}/a.mp4", limits=SHORT)


@pytest.mark.slow
def test_a_server_cannot_lead_to_a_file_or_another_protocol(
    make_video: MakeVideo, capfd: pytest.CaptureFixture
) -> None:
    path = make_video()
    for target in (path.as_uri(), f"tcp://127.0.0.1:1/{path}", f"concat:{path}", f"subfile,,start,0,end,0,,:{path}"):

        def answer(handler: Any, target: str = target) -> None:
            handler.send_response(302)
            handler.send_header("Location", target)
            handler.end_headers()

        with Server(answer).run() as host, pytest.raises(VideoError, match="is no video that can be read"):
            VideoReader(f"http://{host}/a.mp4", limits=SHORT)
    assert capfd.readouterr() == ("", "")


def test_garbage_of_a_server_is_not_shown(capfd: pytest.CaptureFixture) -> None:
    def answer(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 404 \x1b[31mGone\x07\r\nX: \x1b[2J\r\n\r\n\x1b]0;title\x07" * 3)

    with Server(answer).run() as host, pytest.raises(VideoError, match=rf"^http://{host}/a\.mp4: ") as caught:
        VideoReader(f"http://{host}/a.mp4", limits=SHORT)
    assert str(caught.value).isprintable()
    assert capfd.readouterr() == ("", "")


def write_long(path: Path) -> Path:
    """A video of some 100 kB that has no table."""
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(60):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, index * 7, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_slow_server_is_given_up_even_if_each_packet_comes_in_time() -> None:
    packets = iter([av.Packet(bytes(10)) for _ in range(5)])
    watch = Watch(VideoLimits(network_seconds=1e-9), "http://x/y.mp4", is_remote=True)
    with pytest.raises(VideoError, match=r"http://x/y\.mp4: the server sent nothing, or too little, for 1e-09 s"):
        list(over_network(packets, watch))
