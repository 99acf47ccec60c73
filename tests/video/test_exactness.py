"""Frame i of any made file, asked for in any order and manner, is the i-th frame of a full sequential decode, bit
for bit.
"""

import io
import pickle
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet

from kinema.errors import VideoError
from kinema.video import VideoReader
from kinema.video import packets as packets_module
from kinema.video.index_cache import forget_indices

WIDTH, HEIGHT, FRAMES = 64, 48, 40


# ---- made files


def pictures(count: int, width: int = WIDTH, height: int = HEIGHT) -> Iterator[np.ndarray]:
    """(height, width, 3) frames, no two alike: a background that drifts, a square that jumps, new every 17 frames."""
    y, x = np.mgrid[:height, :width]
    for index in range(count):
        shift = index + 40 * (index // 17)
        frame = np.stack([x * 3 + shift, y * 4 - shift, (x + y) * 2 + 3 * shift], axis=-1) % 256
        left, top = index * 7 % max(1, width - 12), index * 5 % max(1, height - 12)
        frame[top : top + 12, left : left + 12] = (250 - index % 200, index % 250, 128)
        yield frame.astype(np.uint8)


def write(
    path: Path,
    codec: str = "libx264",
    *,
    pixel_format: str = "yuv420p",
    count: int = FRAMES,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    rate: int = 25,
    times: Callable[[int], int] | None = None,
    container: dict[str, str] | None = None,
    streams: int = 1,
    interlaced: bool = False,
    **options: str,
) -> None:
    """Encode `pictures`; `times` gives the time of frame i in units of 1 / (40 rate) s."""
    unit = Fraction(1, 40 * rate) if times else Fraction(1, rate)
    with av.open(str(path), "w", options=container or {}) as out:
        encoders = []
        for _ in range(streams):
            stream = out.add_stream(
                codec, rate=rate, options={name.replace("_", "-"): v for name, v in options.items()}
            )
            stream.width, stream.height, stream.pix_fmt = *size, pixel_format
            stream.codec_context.time_base = unit
            if interlaced:
                stream.codec_context.flags |= 1 << 18 | 1 << 29  # interlaced DCT, interlaced motion estimation
            encoders.append(stream)
        for index, rgb in enumerate(pictures(count, *size)):
            for number, stream in enumerate(encoders):
                frame = av.VideoFrame.from_ndarray(255 - rgb if number else rgb, format="rgb24")
                frame = frame.reformat(format=pixel_format)
                frame.pts, frame.time_base = (times(index) if times else index), unit
                out.mux(stream.encode(frame))
        for stream in encoders:
            out.mux(stream.encode())


def remux(source: Path, target: Path, change: Callable[[int, Packet], bool | None], **options: str) -> None:
    """Copy the packets of the first stream; `change` may alter packet i, and drops it by returning False."""
    with av.open(str(source)) as container, av.open(str(target), "w", options=options) as out:
        stream = container.streams.video[0]
        out_stream = out.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
            if change(number, packet) is not False:
                packet.stream = out_stream
                out.mux(packet)


def made(codec: str = "libx264", **options: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        write(path, codec, **options)  # type: ignore[arg-type]

    return make


def x264(params: str, **options: object) -> Callable[[Path], None]:
    return made("libx264", **options, **{"x264-params": params})


def x265(params: str, **options: object) -> Callable[[Path], None]:
    return made(
        "libx265",
        **options,
        **{"x265-params": f"log-level=none:pools=none:frame-threads=1:{params}"},
        preset="ultrafast",
    )


def shifted(seconds: float, suffix: str = ".mp4", **options: str) -> Callable[[Path], None]:
    """All times moved by `seconds`."""

    def make(path: Path) -> None:
        def move(_: int, packet: Packet) -> None:
            steps = round(seconds / packet.time_base)
            packet.pts += steps
            packet.dts = None if packet.dts is None else packet.dts + steps

        source = path.with_name(f"source_{path.stem}{suffix}")
        write(source, g="12", bf="3")
        remux(source, path, move, **options)

    return make


def cut(make_source: Callable[[Path], None], share: float) -> Callable[[Path], None]:
    """Without the first `share` of its bytes."""

    def make(path: Path) -> None:
        source = path.with_name(f"source_{path.name}")
        make_source(source)
        content = source.read_bytes()
        path.write_bytes(content[int(len(content) * share) // 188 * 188 :])

    return make


def all_keys(make_source: Callable[[Path], None]) -> Callable[[Path], None]:
    """With an index that calls every picture of an AVI file a key frame, as FFmpeg's encoder of H.263 does."""

    def make(path: Path) -> None:
        make_source(path)
        content = bytearray(path.read_bytes())
        start = content.index(b"idx1") + 8
        for place in range(start, start + int.from_bytes(content[start - 4 : start], "little"), 16):
            content[place + 4] |= 0x10
        path.write_bytes(content)

    return make


def without_first(count: int, make_source: Callable[[Path], None]) -> Callable[[Path], None]:
    """Without the first packets."""

    def make(path: Path) -> None:
        source = path.with_name(f"source_{path.name}")
        make_source(source)
        remux(source, path, lambda number, _: number >= count)

    return make


CLOSED = "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"
OPEN = f"{CLOSED}:open-gop=1"
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

MADE: dict[str, Callable[[Path], None]] = {
    # H.264 and its tools
    "plain.mp4": made(g="12"),
    "b_frames.mp4": x264(f"{CLOSED}:b-pyramid=0"),
    "b_pyramid.mp4": x264(f"{CLOSED}:bframes=7:b-pyramid=2"),
    "b_pyramid_strict.mkv": x264(f"{CLOSED}:bframes=5:b-pyramid=1"),
    "open_gop.mp4": x264(OPEN),
    "open_gop.mkv": x264(f"{OPEN}:b-pyramid=2:bframes=5"),
    "open_gop.ts": x264(OPEN),
    "many_references.mp4": x264("keyint=20:ref=16:bframes=3:weightp=2:weightb=1:mixed-refs=1"),
    "slices.mp4": x264(f"{CLOSED}:slices=4"),
    "intra_refresh.mp4": x264("intra-refresh=1:keyint=10:bframes=0"),
    "intra_refresh.ts": x264("intra-refresh=1:keyint=10:bframes=2"),
    "one_key_frame.mp4": x264("keyint=1000:scenecut=0:bframes=2"),
    "key_frames_only.mp4": x264("keyint=1"),
    "baseline.mp4": made(profile="baseline", g="9"),
    "ten_bit.mp4": made(pixel_format="yuv420p10le", g="9"),
    "four_four_four.mp4": made(pixel_format="yuv444p", g="9"),
    "full_range.mp4": made(pixel_format="yuvj420p", g="9"),
    "grey.mp4": made(pixel_format="gray", g="9"),
    "top_field_first.mp4": x264("tff=1:keyint=12:bframes=2"),
    "bottom_field_first.ts": x264("bff=1:keyint=12:bframes=2"),
    "fake_interlaced.mkv": x264("fake-interlaced=1:keyint=12"),
    "odd_size.mkv": made(pixel_format="yuv444p", size=(51, 37), g="9"),
    "cropped.mp4": made(size=(50, 38), g="9"),
    "one_frame.mp4": made(count=1),
    "two_frames.mp4": made(count=2, bf="1"),
    # times
    "variable_rate.mp4": made(times=lambda index: 40 * index + index % 3 * 13, g="12", bf="3"),
    "variable_rate.mkv": made(times=lambda index: 40 * index + (400 if index > 20 else 0), g="12", bf="3"),
    "negative.mkv": shifted(-1.0, avoid_negative_ts="disabled"),
    "edit_list.mp4": shifted(-0.5, avoid_negative_ts="disabled"),
    "late.mp4": shifted(30.0),
    "late.ts": shifted(30.0),
    "late.mkv": shifted(3.0, ".mkv"),
    "raw.h264": x264(OPEN),
    "raw_no_b.h264": x264("keyint=10:bframes=0"),
    "h264_without_b.avi": x264("keyint=10:bframes=0"),
    "h264_with_b.avi": x264(CLOSED),
    "raw.m4v": made("mpeg4", g="9", bf="2"),
    # no count in the header
    "fragmented.mp4": x264(CLOSED, container=FRAGMENTED),
    "fragmented_hevc.mp4": x265("keyint=10", container=FRAGMENTED),
    "live.mkv": made(g="12", container={"live": "1"}),
    "cut.ts": cut(x264(CLOSED), 0.4),
    "cut_open.ts": cut(x264(OPEN), 0.4),
    "cut_mpeg2.ts": cut(made("mpeg2video", g="9", bf="2"), 0.4),
    "cut_mpeg1.mpg": cut(made("mpeg1video", g="9", bf="2"), 0.4),
    "cut_mpeg4.avi": without_first(7, made("mpeg4", g="9", bf="2")),
    "cut_mpeg4.mkv": without_first(16, made("mpeg4", g="9", bf="2")),
    "cut_h264.mkv": without_first(14, x264(OPEN)),
    "cut_vp9.mkv": without_first(9, made("libvpx-vp9", g="9", deadline="realtime", cpu_used="8")),
    "cut_raw.h264": cut(x264(OPEN), 0.4),
    "cut_hevc.ts": cut(x265("keyint=10:min-keyint=10:open-gop=1:bframes=3"), 0.4),
    "cut_intra_refresh.ts": cut(x264("intra-refresh=1:keyint=10:bframes=0"), 0.4),
    "two_streams.mp4": made(g="12", streams=2),
    "two_streams.mkv": made(g="12", bf="2", streams=2),
    "two_streams.ts": made(g="12", bf="2", streams=2),
    # HEVC
    "hevc_open.mp4": x265("keyint=10:min-keyint=10:open-gop=1:bframes=4:b-adapt=0"),
    "hevc_closed.mkv": x265("keyint=10:min-keyint=10:open-gop=0:bframes=4"),
    "hevc.ts": x265("keyint=10:min-keyint=10:open-gop=1:bframes=3"),
    "hevc_raw.hevc": x265("keyint=10:bframes=3"),
    "hevc_ten_bit.mp4": x265("keyint=10", pixel_format="yuv420p10le"),
    "hevc_intra_refresh.mp4": x265("intra-refresh=1:keyint=10:bframes=0"),
    "hevc_one_frame.mp4": x265("keyint=10:bframes=0", count=1),  # B pictures need more: x265 gives random times
    # others
    "vp8.webm": made("libvpx", g="9", auto_alt_ref="1", lag_in_frames="16", cpu_used="8"),
    "vp9.webm": made("libvpx-vp9", g="9", auto_alt_ref="1", lag_in_frames="16", cpu_used="8"),
    "vp9_realtime.webm": made("libvpx-vp9", g="9", deadline="realtime", cpu_used="8"),
    "vp9_alpha.webm": made("libvpx-vp9", pixel_format="yuva420p", g="9", cpu_used="8", auto_alt_ref="0"),
    "vp9.mp4": made("libvpx-vp9", g="9", deadline="realtime", cpu_used="8"),
    "vp9.ivf": made("libvpx-vp9", g="9", deadline="realtime", cpu_used="8"),
    "av1.mkv": made("libsvtav1", g="9", preset="12"),
    "av1.mp4": made("libsvtav1", g="9", preset="12"),
    "mpeg1.mpg": made("mpeg1video", g="9", bf="2"),
    "mpeg1_raw.m1v": made("mpeg1video", g="9", bf="2"),
    "mpeg2.mpg": made("mpeg2video", g="9", bf="2"),
    "mpeg2.ts": made("mpeg2video", g="9", bf="2"),
    "mpeg2_interlaced.ts": made("mpeg2video", g="9", bf="2", interlaced=True, alternate_scan="1"),
    "mpeg2.mkv": made("mpeg2video", g="9"),
    "mpeg4.avi": made("mpeg4", g="9"),
    "mpeg4_b.avi": made("mpeg4", g="9", bf="2"),
    "mpeg4.mp4": made("mpeg4", g="9", bf="2"),
    "mpeg4_interlaced.avi": made("mpeg4", g="9", bf="2", interlaced=True),
    "msmpeg4.avi": made("msmpeg4", g="9"),
    "wmv1.wmv": made("wmv1", g="9"),
    "wmv2.wmv": made("wmv2", g="9"),
    "flv1.flv": made("flv", g="9"),
    "h264.flv": x264(CLOSED),
    "h263.3gp": made("h263", size=(176, 144), g="9"),
    "h263.avi": made("h263", size=(176, 144), g="9"),
    "h263p.avi": made("h263p", size=(160, 112), g="9"),
    "all_keys_mpeg1.avi": all_keys(made("mpeg1video", g="9")),
    "all_keys_mpeg4.avi": all_keys(made("mpeg4", g="9", bf="2")),
    "all_keys_msmpeg4.avi": all_keys(made("msmpeg4", g="9")),
    "all_keys_msmpeg4v2.avi": all_keys(made("msmpeg4v2", g="9")),
    "all_keys_wmv1.avi": all_keys(made("wmv1", g="9")),
    "all_keys_wmv2.avi": all_keys(made("wmv2", g="9")),
    "all_keys_flv1.avi": all_keys(made("flv", g="9")),
    "all_keys_vp8.avi": all_keys(made("libvpx", g="9", auto_alt_ref="0", cpu_used="8")),
    "h264.3gp": x264(CLOSED),
    "cut_wmv2.avi": without_first(3, made("wmv2", g="9")),
    "cut_flv1.flv": without_first(3, made("flv", g="9")),
    "gif.gif": made("gif", pixel_format="rgb8"),
    "mjpeg.avi": made("mjpeg", pixel_format="yuvj420p"),
    "mjpeg.mov": made("mjpeg", pixel_format="yuvj444p", size=(51, 37)),
    "mjpeg_raw.mjpeg": made("mjpeg", pixel_format="yuvj420p"),
    "ffv1.mkv": made("ffv1", g="9"),
    "ffv1_intra.mkv": made("ffv1", g="1", level="3"),
    "ffv1.avi": made("ffv1", g="9", context="1"),
    "prores.mov": made("prores_ks", pixel_format="yuv422p10le"),
    "huffyuv.avi": made("huffyuv", pixel_format="yuv422p"),
    "ffvhuff.avi": made("ffvhuff"),
    "utvideo.avi": made("utvideo"),
    "raw.avi": made("rawvideo", pixel_format="bgr24"),
    "rawvideo.nut": made("rawvideo", pixel_format="yuv420p"),
    "png.mov": made("png", pixel_format="rgb24"),
    "apng.apng": made("apng", pixel_format="rgb24"),
    "animation.mov": made("qtrle", pixel_format="rgb24", g="9"),
    "dv.avi": made("dvvideo", pixel_format="yuv411p", size=(720, 480), rate=30),
    "dnxhd.mov": made("dnxhd", pixel_format="yuv422p", size=(256, 120), profile="dnxhr_lb", count=10),
    "snow.avi": made("snow", strict="-2", g="9"),
    "cinepak.avi": made("cinepak", pixel_format="rgb24", g="9", count=20),
    "svq1.mov": made("svq1", pixel_format="yuv410p", g="9"),
    "flash_screen.flv": made("flashsv", pixel_format="bgr24", g="9"),
    "zmbv.avi": made("zmbv", pixel_format="bgr0", g="9"),
    "real.rm": made("rv20", g="9"),
    "jpeg2000.mkv": made("jpeg2000"),
}

# What takes longer to make, for the slow suite.
LONG: dict[str, Callable[[Path], None]] = {
    "thousands.mp4": x264("keyint=250:bframes=3", count=3000, size=(32, 32)),
    "thousands.avi": made("mpeg4", count=3000, size=(32, 32), g="250", bf="2"),
    "thousands.webm": made("libvpx-vp9", count=1500, size=(32, 32), deadline="realtime", cpu_used="8"),
    "thousands.ts": x264(f"{OPEN}:keyint=100", count=3000, size=(32, 32)),
    "thousands_one_key_frame.mkv": x264("keyint=100000:scenecut=0:bframes=2", count=3000, size=(32, 32)),
}


@pytest.fixture(scope="session")
def video_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Path of a made file; skips the test when FFmpeg has no encoder for it."""
    folder = tmp_path_factory.mktemp("exact")

    @cache
    def make(name: str) -> Path:
        maker = {**MADE, **LONG}[name]
        try:
            maker(folder / name)
        except av.codec.codec.UnknownCodecError as error:
            pytest.skip(f"this FFmpeg has no encoder {error}")
        return folder / name

    return make


@lru_cache(maxsize=2)
def full_decode(path: Path) -> tuple[np.ndarray, list[float | None]]:
    """(N, H, W, 3) frames and the N times that plain PyAV puts out from the first packet to the last."""
    with av.open(str(path)) as container:
        frames = [
            (frame.to_ndarray(format="rgb24"), frame.time) for frame in container.decode(container.streams.video[0])
        ]
    return np.stack([pixels for pixels, _ in frames]), [time for _, time in frames]


# ---- ways to ask


def random_requests(length: int, seed: int, count: int) -> list[object]:
    """Integers, lists of integers, slices and, for iteration over all frames, None."""
    rng = np.random.default_rng(seed)
    requests: list[object] = []
    for _ in range(count):
        kind = rng.integers(7)
        some = rng.integers(-length, length, rng.integers(1, 9))
        start, width, step = int(rng.integers(length)), int(rng.integers(1, 6)), int(rng.integers(1, 5))
        if kind == 0:
            requests += [int(one) for one in some[:4]]
        elif kind == 1:
            requests.append(np.unique(some % length))
        elif kind == 2:
            requests.append(some)
        elif kind == 3:
            requests.append(np.repeat(some[:3], 2))
        elif kind == 4:
            windows = range(start, min(start + 6 * step, length - width), step)
            requests += [list(range(left, left + width)) for left in windows]
        elif kind == 5:
            requests.append(slice(start, None, -step if rng.random() < 0.3 else step))
        else:
            requests += range(start, min(start + 10, length))  # as iteration does
    return requests


def check(reader: VideoReader, expected: np.ndarray, seed: int, count: int) -> None:
    assert len(reader) == len(expected)
    for request in random_requests(len(expected), seed, count):
        got = reader[request] if isinstance(request, (int, slice)) else reader.get_batch(request)
        assert np.array_equal(got, expected[request]), f"asked for {request}"


@pytest.mark.parametrize("name", MADE)
def test_frames_asked_for_in_any_way_are_those_of_a_full_decode(name: str, video_file: Callable[[str], Path]) -> None:
    path = video_file(name)
    expected, _ = full_decode(path)
    check(VideoReader(path), expected, seed=len(name), count=8)
    assert np.array_equal(np.stack(list(VideoReader(path.read_bytes()))), expected)


def variants(path: Path) -> Iterator[tuple[str, VideoReader]]:
    """Readers of one file that get at their packets in different ways."""
    forget_indices()
    yield "first opening", VideoReader(path)
    yield "second opening", VideoReader(path)
    yield "bytes", VideoReader(path.read_bytes())
    yield "file object", VideoReader(io.BytesIO(path.read_bytes()))
    used = VideoReader(path.read_bytes(), num_threads=3)
    used[-1]  # a use before pickling
    yield "threads, pickled", pickle.loads(pickle.dumps(used))
    yield "index", VideoReader(path.read_bytes(), index=pickle.loads(pickle.dumps(used.index)))
    yield "index, threads", VideoReader(path.read_bytes(), index=used.index, num_threads=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MADE, *LONG])
def test_sources_threads_and_indices_do_not_change_frames(name: str, video_file: Callable[[str], Path]) -> None:
    path = video_file(name)
    expected, _ = full_decode(path)
    for seed, (what, reader) in enumerate(variants(path)):
        try:
            check(reader, expected, seed=100 + seed, count=20)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in MADE
        if name.startswith(("b_pyramid", "open_gop", "edit", "raw", "two_streams", "mpeg4", "hevc."))
    ]
    + ["h264_with_b.avi", "vp9.webm", "mpeg2.mpg", "h264.flv", "gif.gif", "cut_open.ts", "fragmented.mp4"],
)
def test_packets_that_do_not_fit_into_memory_are_read_from_their_place(
    name: str, video_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets_module, "_KEPT_BYTES", 0)
    path = video_file(name)
    expected, _ = full_decode(path)
    check(VideoReader(path.read_bytes()), expected, seed=1, count=10)


@pytest.mark.parametrize("name", MADE)
def test_times_are_those_of_the_frames(name: str, video_file: Callable[[str], Path]) -> None:
    path = video_file(name)
    frames, times = full_decode(path)
    reader = VideoReader(path)
    seconds = reader.timestamps_seconds
    assert len(seconds) == len(frames)
    assert (np.diff(seconds) >= 0).all()
    if None not in times:
        assert seconds == pytest.approx(np.sort(np.asarray(times, float)), abs=1e-6)


def test_pictures_before_the_first_key_frame_of_mpeg4_are_lost(tmp_path: Path) -> None:
    """A full decode shows them, made of a grey picture that the decoder invents."""
    path = tmp_path / "cut.avi"
    without_first(9, made("mpeg4", g="9", bf="2"))(path)  # the first key frame left is packet 7
    expected, _ = full_decode(path)
    reader = VideoReader(path)
    assert len(reader) == 30
    assert np.array_equal(reader[8:], expected[-22:])
    with pytest.raises(
        VideoError, match="frame 3 cannot be decoded: it refers to a picture that the file does not hold"
    ):
        reader[3]
