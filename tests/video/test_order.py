"""Frame i is the i-th one that a decode of the whole outputs, also where the container says otherwise, or frames
are fields.
"""

import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from field_coded import write_fields

from kinema.errors import VideoError
from kinema.video import VideoReader, write_video
from kinema.video.clock import NO_TIME
from kinema.video.order import Order, order_by_headers, order_by_time, settle_order, with_missing
from kinema.video.slice_headers import Field, SliceHeader


def plain_decode(path: Path) -> np.ndarray:
    """(N, H, W, 3): what PyAV puts out from the first packet to the last."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def check_all_orders(path: Path, num_frames: int | None = None) -> None:
    """First each frame by a reader of its own, whose index no other has mended, then in random order and damage."""
    expected = plain_decode(path)
    assert num_frames in (None, len(expected))
    content = path.read_bytes()
    for number in range(0, len(expected), 7):
        assert np.array_equal(VideoReader(content)[number], expected[number]), f"frame {number} alone"
    for num_threads in (1, 3):
        reader = VideoReader(content, num_threads=num_threads)
        assert len(reader) == len(expected)
        for number in random.Random(0).sample(range(len(expected)), len(expected)):
            assert np.array_equal(reader[number], expected[number]), f"frame {number} with {num_threads} threads"
    assert np.array_equal(VideoReader(content).get_batch(range(len(expected))), expected)
    assert VideoReader(content).find_damage() is None


# ---- times that are wrong, repeated or missing

Retime = Callable[[list[int]], list[int]]


def with_times(source: Path, target: Path, retime: Retime) -> Path:
    """Remux with other presentation times; `retime` gets and gives those of all packets, in the order of the file."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = [packet.pts or 0 for packet in packets]
        start, following = sorted(times)[:2]
        step = following - start
        for place, (packet, time) in enumerate(zip(packets, retime(times), strict=True)):
            packet.dts = start + place * step  # must ascend, and not lie behind the time of showing
            packet.pts, packet.stream = time + 8 * step, copy
            out.mux(packet)
    return target


def exchanged(times: list[int]) -> list[int]:
    """Two B pictures, and two that are further apart."""
    for one, other in ((3, 4), (20, 23)):
        times[one], times[other] = times[other], times[one]
    return times


def one_late(times: list[int]) -> list[int]:
    step = sorted(times)[1] - min(times)
    times[14] += 2 * step + step // 2
    return times


def in_file_order_from_20(times: list[int]) -> list[int]:
    return times[:20] + sorted(times[20:])


def repeated(times: list[int]) -> list[int]:
    times[15] = times[17]
    return times


@pytest.mark.parametrize("retime", [exchanged, one_late, in_file_order_from_20, repeated])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_wrong_times_do_not_change_the_order_of_frames(
    suffix: str, codec: str, retime: Retime, tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    options = {"g": "13", "bf": "3"} if codec == "libx264" else {"x265-params": "keyint=13:bframes=3:log-level=none"}
    source = write_video(tmp_path / f"right{suffix}", moving_frames, 25, codec=codec, options=options)
    path = with_times(source, tmp_path / f"wrong{suffix}", retime)
    check_all_orders(path, 40)


def test_a_table_of_offsets_that_ends_too_soon_does_not_change_the_order(
    tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    path = write_video(tmp_path / "table.mp4", moving_frames, 25, options={"g": "13", "bf": "3", "sc_threshold": "0"})
    content = bytearray(path.read_bytes())
    place = content.index(b"ctts") + 8
    (count,) = struct.unpack_from(">I", content, place)
    struct.pack_into(">I", content, place, count // 2)
    path.write_bytes(content)
    check_all_orders(path, 40)


def decodes_without_error(path: Path) -> bool:
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        context.thread_type, context.options = "NONE", {"err_detect": "explode"}
        try:
            return not any(frame.is_corrupt for frame in container.decode(video=0))
        except av.FFmpegError:
            return False


def packet_places(path: Path) -> list[int | None]:
    """At which byte of the file each packet begins."""
    with av.open(str(path)) as container:
        return [packet.pos for packet in container.demux(video=0) if packet.size]


def test_a_flipped_bit_in_a_picture_s_count_gives_the_same_frames_in_every_order(
    tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    """The decoder puts the picture out at another place, without an error; the container's times say nothing of it."""
    options = {"x264-params": "keyint=12:bframes=3:b-adapt=0:mbtree=0:threads=1"}
    source = write_video(tmp_path / "good.mp4", moving_frames, 25, options=options)
    good = plain_decode(source)
    places = packet_places(source)
    assert places[16] is not None  # a B picture to which no other refers
    num_moved = 0
    for bit in range(11, 17):  # behind macroblock, type and set, 7 bits, and the frame number, 4 bits
        content = bytearray(source.read_bytes())
        content[places[16] + 5 + bit // 8] ^= 0x80 >> bit % 8
        path = tmp_path / f"bit{bit}.mp4"
        path.write_bytes(content)
        if decodes_without_error(path) and len(plain_decode(path)) == len(good):  # else the decoder drops a picture
            num_moved += not np.array_equal(plain_decode(path), good)
            check_all_orders(path)
    assert num_moved > 2


@pytest.mark.parametrize("number", [14, 15, 16])
def test_a_wrong_number_of_a_picture_gives_the_same_frames_in_every_order(
    number: int, tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    """The decoder makes up the pictures that seem to be missing, also for one that is left out otherwise."""
    x264 = "keyint=12:bframes=3:b-adapt=0:direct=temporal:ref=4:mbtree=0:threads=1"
    source = write_video(tmp_path / "good.mp4", moving_frames, 25, options={"x264-params": x264})
    places = packet_places(source)

    def frames(content: bytes, order: list[int], num_threads: int = 1) -> dict[int, bytes | None]:
        reader = VideoReader(content, num_threads=num_threads)
        return {place: frame_or_none(reader, place) for place in order}

    for bit in range(7, 11):
        content = bytearray(source.read_bytes())
        content[places[number] + 5 + bit // 8] ^= 0x80 >> bit % 8
        in_sequence = frames(bytes(content), list(range(40)))
        for num_threads in (1, 3):
            assert frames(bytes(content), random.Random(bit).sample(range(40), 40), num_threads) == in_sequence
        for place in range(10, 26):
            assert frames(bytes(content), [place]) == {place: in_sequence[place]}


def frame_or_none(reader: VideoReader, number: int) -> bytes | None:
    try:
        return reader[number].tobytes()
    except VideoError:
        return None


def test_damage_at_the_end_does_not_show_in_frames_that_are_asked_for_alone(
    tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    """Times that are in doubt have the decoder watched to the end; flushing leaves state of broken slices in it."""
    options = {"x264-params": "keyint=12:bframes=3:slices=3:cabac=0:mbtree=0:threads=1"}
    source = write_video(tmp_path / "slices.mov", moving_frames, 25, options=options)
    path = with_times(source, tmp_path / "doubtful.mov", exchanged)
    good = plain_decode(path)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    entries = VideoReader(path).index.entries
    start, size = places[entries[-1]]
    for place in range(start + 20, start + size, 20):
        content = bytearray(path.read_bytes())
        content[place] ^= 0x10
        number = int(entries[1]) + 2
        assert np.array_equal(VideoReader(bytes(content))[number], good[number]), place - start


def flv_tags(content: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, milliseconds and body of each part of an FLV file."""
    tags, place = [], 13
    while place + 11 <= len(content):
        size = int.from_bytes(content[place + 1 : place + 4])
        time = content[place + 7] << 24 | int.from_bytes(content[place + 4 : place + 7])
        tags.append((content[place], time, content[place + 11 : place + 11 + size]))
        place += 15 + size
    return tags


@pytest.mark.parametrize("order", [(0, 3), (3, 0), (2, 3)])
def test_two_flv_recordings_in_one_file_whose_times_overlap(
    order: tuple[int, int], tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    """The second one has its own header; what the first one says of B pictures says nothing of it."""
    parts = []
    for place, num_b in enumerate(order):
        path = tmp_path / f"part{place}.flv"
        frames = moving_frames[20 * place : 20 * place + 20]
        parts.append(write_video(path, frames, 25, options={"g": "10", "bf": str(num_b)}).read_bytes())
    joined = parts[0][:13]
    for place, part in enumerate(parts):
        for kind, time, body in flv_tags(part):
            if kind == 9 and body[1] != 2:  # pictures and their headers; 2 ends a sequence
                stamp = (time + 600 * place).to_bytes(4)
                tag = bytes([kind]) + len(body).to_bytes(3) + stamp[1:] + stamp[:1] + b"\0\0\0" + body
                joined += tag + len(tag).to_bytes(4)
    path = tmp_path / "joined.flv"
    path.write_bytes(joined)
    check_all_orders(path, 40)


# ---- fields


@pytest.mark.parametrize("reorders", [False, True], ids=["no B", "B"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4", ".h264"])
def test_two_fields_are_one_frame(suffix: str, reorders: bool, tmp_path: Path) -> None:
    path = tmp_path / f"fields{suffix}"
    write_fields(path, reorders=reorders)
    check_all_orders(path, 20)
    reader = VideoReader(path)
    assert reader.fps == pytest.approx(25)
    assert reader.duration_seconds == pytest.approx(0.8)


@pytest.mark.parametrize("drop", [(1,), (13,), (39,), (7, 15)])
def test_fields_without_the_other_one_of_their_frame(drop: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "alone.mkv"
    write_fields(path, reorders=False, drop=drop)
    expected = plain_decode(path)
    reader = VideoReader(path)
    assert len(reader) == len(expected)
    for number in random.Random(1).sample(range(len(expected)), len(expected)):
        assert np.array_equal(reader[number], expected[number])


@pytest.mark.parametrize(
    ("drop", "message"), [(14, "frame 7 cannot be decoded: .* 18 are good"), (20, "frame 10 cannot")]
)
def test_a_second_field_without_the_first_one_is_lost(drop: int, message: str, tmp_path: Path) -> None:
    """It refers to the field that is missing, and takes those that follow along."""
    path = tmp_path / "second.mkv"
    write_fields(path, reorders=False, drop=(drop,))
    expected = plain_decode(path)
    reader = VideoReader(path, errors="keep-good")
    assert re.search(message, str(reader.find_damage()))
    frames = [one for one in reader if any(np.array_equal(one, other) for other in expected)]
    assert len(frames) == len(reader)


def test_fields_of_hevc_are_pictures_of_their_own(tmp_path: Path, moving_frames: list[np.ndarray]) -> None:
    options = {"x265-params": "interlace=tff:keyint=10:bframes=2:log-level=none"}
    path = write_video(tmp_path / "fields.mp4", moving_frames, 25, codec="libx265", options=options)
    check_all_orders(path)


# ---- cut at an open group of pictures


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
@pytest.mark.parametrize("first_key", [1, 2])
@pytest.mark.parametrize("num_before", [0, 3])
def test_pictures_that_decode_whole_behind_a_cut_are_frames(
    num_before: int, first_key: int, suffix: str, tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    """Pictures behind the cut take back references to pictures before it, which are not there."""
    whole = tmp_path / "whole.ts"
    x264 = "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:b-pyramid=strict:ref=3"
    write_video(whole, moving_frames, 25, options={"x264-params": x264})
    path = tmp_path / f"cut{suffix}"
    with av.open(str(whole)) as container, av.open(str(path), "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        packets = [packet for packet in container.demux(stream) if packet.size]
        first = [place for place, packet in enumerate(packets) if packet.is_keyframe][first_key] - num_before
        for packet in packets[first:]:
            packet.stream = copy
            out.mux(packet)
    check_all_orders(path)
    good = {frame.tobytes() for frame in plain_decode(whole)}
    assert all(frame.tobytes() in good for frame in VideoReader(path))


# ---- the arithmetic


def headers_of(*places: int, field: Field = Field.NONE) -> list[SliceHeader | None]:
    return [SliceHeader(1, place, field, place) for place in places]


def test_even_times_that_suit_the_pictures_are_certain() -> None:
    pts, early = [0, 3, 1, 2, 6, 4, 5], np.array([False, False, True, True, False, True, True])
    assert order_by_time(pts, [True] * 7, 1, early, only_early=True) == ([0, 2, 3, 1, 5, 6, 4], Order.CERTAIN)


@pytest.mark.parametrize(
    ("pts", "depth", "early"),
    [
        ([0, 3, 1, 1], 1, [False, False, True, True]),  # repeated
        ([0, 3, 1, NO_TIME], 1, [False, False, True, True]),  # missing
        ([0, 30, 10, 25], 1, [False, False, True, True]),  # uneven
        ([0, 3, 2, 1], 1, [False, False, True, True]),  # held back for longer
        ([0, 1, 2, 3], 1, [False, False, True, True]),  # B pictures in the order of the file
        ([0, 2, 1, 3], 1, [False, False, False, False]),  # others out of it
    ],
)
def test_odd_times_are_doubtful(pts: list[int], depth: int, early: list[bool]) -> None:
    assert order_by_time(pts, [True] * 4, depth, np.array(early), only_early=True)[1] is Order.DOUBTFUL


def test_headers_confirm_or_correct_an_order() -> None:
    assert order_by_headers([0, 2, 1], headers_of(0, 4, 2)) == ([0, 2, 1], [False] * 3, Order.CERTAIN)
    assert order_by_headers([0, 1, 2], headers_of(0, 4, 2)) == ([0, 2, 1], [False] * 3, Order.LIKELY)
    assert order_by_headers([0, 1, 2], [*headers_of(0, 4), None])[2] is Order.UNKNOWN
    assert order_by_headers([0, 2, 1], [*headers_of(0, 4), None])[2] is Order.LIKELY


def test_what_is_missing_in_an_order_goes_behind_what_it_followed() -> None:
    assert with_missing([3, 1, 2], [0, 1, 2, 3, 4]) == [0, 3, 4, 1, 2]
    assert with_missing([], [1, 0]) == [1, 0]


@pytest.mark.parametrize(
    ("seen", "known", "num_good", "has_fields", "expected"),
    [
        ([0, 2, 1, 3], Order.UNKNOWN, None, False, ([0, 2, 1, 3], None)),
        ([0, 3, 1], Order.UNKNOWN, None, False, ([0, 3, 1, 2], 1)),
        ([0, 2, 1, 3], Order.UNKNOWN, 2, False, ([0, 2, 1, 3], 2)),
        ([0, 3, 1], Order.LIKELY, None, False, ([0, 3, 1, 2], None)),
        ([0, 3, 1], Order.LIKELY, None, True, ([0, 3, 1], None)),
    ],
    ids=["all seen", "one missing", "a failure", "the expected order places it", "a field alone"],
)
def test_a_watched_order_is_certain_up_to_what_is_missing(
    seen: list[int], known: Order, num_good: int | None, has_fields: bool, expected: tuple
) -> None:
    assert settle_order(seen, [0, 1, 2, 3], known, num_good=num_good, has_fields=has_fields) == expected
