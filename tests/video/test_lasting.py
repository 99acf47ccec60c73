"""What comes once, beside or in a packet, and is valid for those behind it: palettes, parameter sets, an
encoder's version.
"""

import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal

from kinema.errors import VideoError
from kinema.video import VideoReader, lasting, packets, write_video
from kinema.video.bitstream import nal_length_size
from kinema.video.headers import headers_in_extradata, headers_in_packet
from kinema.video.index_cache import forget_indices
from kinema.video.lasting import LastingNotes
from kinema.video.transcode import TranscodeSettings, transcode

NUM_FRAMES = 40


def full_decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def check_exact(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random frames first, in sequence, cold and warm, kept in memory and not, one and two threads, with `index=`."""
    expected = full_decode(path)
    rng = np.random.default_rng(0)
    forget_indices()
    index = pickle.loads(pickle.dumps(VideoReader(path.read_bytes()).index))

    def check(reader: VideoReader, numbers: Sequence[int], what: str) -> None:
        assert len(reader) == len(expected)
        for number in numbers:
            assert np.array_equal(reader[number], expected[number]), f"frame {number}, {what}"

    for kept in (32 * 2**20, 0):
        monkeypatch.setattr(packets, "_KEPT_BYTES", kept)
        for warm in (False, True):
            for number in [0, 5, *rng.integers(len(expected), size=5).tolist()]:
                if not warm:
                    forget_indices()
                check(VideoReader(path), [number], f"a fresh reader, {kept=}, {warm=}")
            if not warm:
                forget_indices()
            what = f"{kept=}, {warm=}"
            check(VideoReader(path), range(len(expected)), f"in sequence, {what}")
            check(VideoReader(path), rng.permutation(len(expected))[:15], f"at random, {what}")
        check(VideoReader(path, num_threads=2), rng.permutation(len(expected))[:12], f"two threads, {kept=}")
        check(VideoReader(path, index=index), rng.permutation(len(expected))[:15], f"index=, {kept=}")
    assert VideoReader(path).find_damage() is None
    assert VideoReader(path, index=index).find_damage() is None


# ---- palettes


def palette(number: int) -> bytes:
    steps = np.arange(256)
    colours = [steps * (3 + 2 * number), 255 - steps, steps * 7 + 40 * number, np.full(256, 255)]
    return (np.stack(colours, axis=-1) % 256).astype(np.uint8).tobytes()


def write_palettes(path: Path, changes: Sequence[int] = ()) -> Path:
    """8-bit frames whose palette changes at some of them."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for number in range(20):
            frame = av.VideoFrame(64, 48, "pal8")
            frame.planes[0].update((np.arange(64 * 48) + 11 * number).astype(np.uint8).tobytes())
            frame.planes[1].update(palette(sum(change <= number for change in changes)))
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def hide_first_palette(path: Path) -> Path:
    """Take the palette out of the header of an AVI file, so that the first one comes in the middle."""
    content = bytearray(path.read_bytes())
    place = content.index(b"strf") + 4
    size = int.from_bytes(content[place : place + 4], "little")
    content[place : place + 4] = (40).to_bytes(4, "little")
    rest = place + 4 + 40
    content[rest : rest + 8] = b"JUNK" + (size - 40 - 8).to_bytes(4, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["one.avi", "one.mov"])
def test_a_palette_that_comes_with_the_first_packet(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_palettes(tmp_path / name)
    assert len(VideoReader(path).index.lasting) == 1
    check_exact(path, monkeypatch)


def test_palettes_that_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_palettes(tmp_path / "changes.avi", changes=[6, 7, 13])
    assert [state.first for state in VideoReader(path).index.lasting] == [0, 6, 7, 13]
    check_exact(path, monkeypatch)


def test_a_first_palette_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hide_first_palette(write_palettes(tmp_path / "late.avi", changes=[9]))
    with av.open(str(path)) as container:
        assert [p.pts for p in container.demux(video=0) if p.has_sidedata("palette")] == [9]
    check_exact(path, monkeypatch)


# ---- parameter sets

Part = tuple[bytes, list[Packet]]
FIRST = {"g": "9", "bf": "2", "profile": "high"}
SECOND = {"g": "7", "bf": "0", "profile": "baseline"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, moving_frames: list[np.ndarray]) -> dict[str, list[Path]]:
    """Codec -> two files of it with different headers."""
    folder = tmp_path_factory.mktemp("parts")

    def make(name: str, codec: str, options: dict[str, str]) -> Path:
        return write_video(folder / name, moving_frames[:20], 25, codec=codec, options=options)

    hevc = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=8:bframes=2"}
    return {
        "h264": [make("a.mp4", "libx264", FIRST), make("b.mp4", "libx264", SECOND)],
        "hevc": [
            make("c.mp4", "libx265", hevc),
            make(
                "d.mp4", "libx265", {**hevc, "x265-params": "log-level=none:keyint=6:bframes=0:ctu=32:max-tu-size=16"}
            ),
        ],
        "mpeg4": [
            make("e.mp4", "mpeg4", {"g": "8"}),
            make("f.mp4", "mpeg4", {"g": "6", "flags": "+qpel"}),
        ],
    }


def read_part(path: Path) -> Part:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.extradata or b"", [
            packet for packet in container.demux(video=0) if packet.size
        ]


def join(first: Path, second: Path, target: Path, change: Callable[[Packet, int, bytes], Packet]) -> Path:
    """The packets of two files, those of the second behind, with `change(packet, place in its part, extradata)`."""
    shift = 0
    with av.open(str(first)) as template, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(template.streams.video[0])
        for extradata, part in (read_part(first), read_part(second)):
            end = 0
            for place, packet in enumerate(part):
                assert packet.pts is not None
                assert packet.dts is not None
                end = max(end, packet.pts, packet.dts) + (packet.duration or 0)
                changed = change(packet, place, extradata)
                changed.pts, changed.dts = packet.pts + shift, packet.dts + shift
                changed.duration, changed.is_keyframe = packet.duration, packet.is_keyframe
                changed.time_base, changed.stream = packet.time_base, stream
                out.mux(changed)
            shift += end + (part[0].duration or 0)
    return target


def beside(packet: Packet, place: int, extradata: bytes) -> Packet:
    """New extradata beside the first packet of each part."""
    if place == 0:
        data = PacketSideData(packet_sidedata_type_from_literal("new_extradata"), len(extradata))
        data.update(extradata)
        packet.set_sidedata(data)
    return packet


def inside(packet: Packet, place: int, extradata: bytes) -> Packet:
    """The headers once, in the first packet of each part."""
    if extradata[0] != 1:  # MPEG-4
        return Packet((extradata if place == 0 else b"") + bytes(packet))
    codec = "h264" if len(extradata) < 90 else "hevc"
    units = headers_in_extradata(codec, extradata).values() if place == 0 else []
    return Packet(b"".join(len(unit).to_bytes(4) + unit for unit in units) + bytes(packet))


@pytest.mark.parametrize("name", ["joined.mp4", "joined.mov", "joined.flv"])
def test_parameter_sets_that_change_beside_a_packet(
    name: str, parts: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = join(*parts["h264"], tmp_path / name, beside)
    assert [state.first for state in VideoReader(path).index.lasting] == [0, 20]
    check_exact(path, monkeypatch)


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg4"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_headers_that_change_inside_a_packet(
    suffix: str, codec: str, parts: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = join(*parts[codec], tmp_path / f"joined.{suffix}", inside)
    assert 20 in [state.first for state in VideoReader(path).index.lasting]
    check_exact(path, monkeypatch)


def test_headers_that_are_sent_once_in_a_stream_with_start_codes(
    parts: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b""
    for extradata, part in map(read_part, parts["h264"]):
        for place, packet in enumerate(part):
            content = bytes(inside(packet, place, extradata))
            while content:
                size = int.from_bytes(content[:4])
                raw, content = raw + b"\0\0\0\1" + content[4 : 4 + size], content[4 + size :]
    path = tmp_path / "joined.h264"
    path.write_bytes(raw)
    assert 20 in [state.first for state in VideoReader(path).index.lasting]
    check_exact(path, monkeypatch)


def test_ordinary_files_need_nothing_but_their_own_headers(
    parts: dict[str, list[Path]], moving_frames: list[np.ndarray], tmp_path: Path
) -> None:
    ordinary = [path for pair in parts.values() for path in pair]
    ordinary += [write_video(tmp_path / name, moving_frames[:12], 25) for name in ("a.mkv", "a.ts", "a.flv", "a.h264")]
    ordinary += [write_video(tmp_path / name, moving_frames[:12], 25, codec="mpeg4") for name in ("b.avi", "b.mkv")]
    ordinary += [write_video(tmp_path / name, moving_frames[:12], 25, codec="mpeg2video") for name in ("c.mpg", "c.ts")]
    for path in ordinary:
        assert VideoReader(path).index.lasting == (), path.name


def test_a_copy_without_decoding_is_not_made_of_a_video_whose_headers_change(
    parts: dict[str, list[Path]], tmp_path: Path
) -> None:
    path = join(*parts["h264"], tmp_path / "joined.mp4", beside)
    made = transcode(path, tmp_path / "new.mp4", TranscodeSettings(short_side=None, keyframe_interval=16))
    assert (made.is_copy, made.num_frames) == (False, 40)


# ---- the encoder's version


def test_an_old_x264s_version_is_known_wherever_decoding_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg predicts B pictures of x264 below 34 as that did; the file says so in its first packet only."""
    y, x = np.mgrid[:96, :128]
    frames = [np.stack([x * 3 + t, y * 4 - t, (x + y) * 2 + 3 * t], axis=-1) % 256 for t in range(NUM_FRAMES)]
    for number, frame in enumerate(frames):
        left, top = number * 7 % 116, number * 5 % 84
        frame[top : top + 12, left : left + 12] = (250 - number, number, 128)
    params = "keyint=10:min-keyint=10:scenecut=0:bframes=3:direct=spatial"
    path = write_video(tmp_path / "old.mp4", np.asarray(frames, np.uint8), 25, options={"x264-params": params})
    new = full_decode(path)
    content = path.read_bytes()
    version = re.search(rb"x264 - core \d+", content)
    assert version is not None
    path.write_bytes(content.replace(version[0], b"x264 - core 20".ljust(len(version[0]))))
    old = full_decode(path)
    differing = np.flatnonzero((old != new).any(axis=(1, 2, 3))).tolist()
    assert max(differing) > 10  # the version matters behind the first group of pictures
    assert VideoReader(path).index.lasting
    check_exact(path, monkeypatch)
    for number in differing:
        assert np.array_equal(VideoReader(path)[number], old[number])


@pytest.mark.slow
def test_444_of_an_old_x264_decodes_from_every_key_frame(shared_clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shared_clips / "formats" / "cockatoo.mp4"  # by x264 142, with key frames 0, 76, 145
    wanted = (279, 145, 76, 100, 75, 0)
    with av.open(str(path)) as container:
        frames = enumerate(container.decode(video=0))
        expected = {number: frame.to_ndarray(format="rgb24") for number, frame in frames if number in wanted}
    for kept in (32 * 2**20, 0):
        monkeypatch.setattr(packets, "_KEPT_BYTES", kept)
        forget_indices()
        for number in wanted:
            assert np.array_equal(VideoReader(path)[number], expected[number])


# ---- limits, and headers one by one


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("_MAX_HEADERS", 20, r"its headers change more often than a video needs, \d+ times"),
        ("_MAX_BYTES", 2**20, "its headers change so often that they take more than 1 MB"),
    ],
)
def test_headers_that_change_without_end_are_refused(
    limit: str, value: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, limit, value)

    def take_notes() -> None:
        notes = LastingNotes("h264", None, "yuv420p")
        for number in range(100):
            notes.note(number, (), b"\0\0\1\x68\x80" + bytes([number + 1]) * 20000)
        notes.result()

    with pytest.raises(ValueError, match=message):
        take_notes()


def test_a_file_with_more_palettes_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "_MAX_BYTES", 2**20)
    path = write_palettes(tmp_path / "changes.avi", changes=range(20))
    assert len(VideoReader(path.read_bytes())) == 20
    monkeypatch.setattr(lasting, "_MAX_BYTES", 10 * 1024)
    with pytest.raises(
        VideoError, match=r"changes\.avi: cannot be decoded \(its palettes and headers take more than 0 MB"
    ):
        len(VideoReader(path))


def test_parameter_sets_are_told_apart_by_their_numbers() -> None:
    sps = bytes.fromhex("6764000aacd9447a10000003001000000303")
    pps = [bytes.fromhex(text) for text in ("68ebe3cb22c0", "685ae3cb22c0")]  # numbers 0 and 1
    found = headers_in_packet("h264", b"".join(b"\0\0\1" + unit for unit in [sps, *pps, b"\x65\x88\x80\x10"]), 0)
    assert list(found) == [(7, 0), (8, 0), (8, 1)]
    assert list(found.values()) == [sps, *pps]
    assert nal_length_size("h264", b"\1d\0\x0a\xff") == 4


def test_hevc_parameter_sets_are_those_of_the_extradata(parts: dict[str, list[Path]]) -> None:
    for path in parts["hevc"]:
        extradata, part = read_part(path)
        first = headers_in_packet("hevc", bytes(inside(part[0], 0, extradata)), 4)
        assert first == headers_in_extradata("hevc", extradata)
        assert sorted(first) == [(32, 0, 0), (33, 0, 0), (34, 0, 0)]
