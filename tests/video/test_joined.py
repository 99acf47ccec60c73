"""Transport streams with lost packets, and recordings that were joined with cat: nothing ends there, and frames
are those of a decode.
"""

import itertools
import pickle
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader, packets, write_video
from kinema.video.clock import NO_TIME, continue_clock, find_jumps, is_even
from kinema.video.index_cache import forget_indices
from kinema.video.source import packets_of

X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=9:bframes=2"}
SIZE = 188  # bytes of a packet of a transport stream

Decode = Callable[[Path], np.ndarray]


def full_decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, int], Path]:
    """Path of a made recording of 30 frames, by suffix, codec and number; pictures take several packets of a
    transport stream.
    """
    folder = tmp_path_factory.mktemp("recordings")
    y, x = np.mgrid[:64, :96]
    noise = np.random.default_rng(0).integers(0, 90, size=(30, 64, 96, 3))

    @cache
    def make(suffix: str, codec: str, number: int) -> Path:
        frames = [
            (noise[t] + np.stack([x + t * (3 + number), y + x // 2, 150 - y], axis=-1) // 2).astype(np.uint8)
            for t in range(30)
        ]
        options = {"g": str(10 - number), "bf": "2"}
        options |= {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx-vp9" else {}
        options = X265 if codec == "libx265" else options
        return write_video(folder / f"{codec}{number}.{suffix}", frames, 25, codec=codec, options=options)

    return make


def check(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All frames of a decode of the whole, at random, kept in memory and not, with times that ascend."""
    expected = full_decode(path)
    rng = np.random.default_rng(0)
    for kept in (32 * 2**20, 0):
        monkeypatch.setattr(packets, "_KEPT_BYTES", kept)
        forget_indices()
        reader = VideoReader(path)
        assert len(reader) == len(expected)
        assert np.array_equal(reader.get_batch(range(len(reader))), expected)
        for again in (VideoReader(path), VideoReader(path, index=pickle.loads(pickle.dumps(reader.index)))):
            for number in rng.permutation(len(expected))[:8]:
                assert np.array_equal(again[number], expected[number]), f"frame {number}, {kept=}"
        assert reader.find_damage() is None
    seconds = reader.timestamps_seconds
    assert (np.diff(seconds) > 0).all()
    at = reader.frames_at(seconds[[3, 33, 55]] + 0.01)
    assert np.array_equal(at, expected[[3, 33, 55]])


@pytest.mark.parametrize(
    ("suffix", "codec", "second"),
    [
        ("ts", "libx264", 0),
        ("ts", "libx264", 1),
        ("ts", "libx265", 1),
        ("ts", "mpeg2video", 1),
        ("m2ts", "libx264", 1),
        ("mkv", "libx264", 0),
        ("webm", "libvpx-vp9", 1),
    ],
)
def test_joined_recordings_are_one_video(
    suffix: str,
    codec: str,
    second: int,
    recording: Callable[[str, str, int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(recording(suffix, codec, 0).read_bytes() + recording(suffix, codec, second).read_bytes())
    check(path, monkeypatch)
    reader = VideoReader(path)
    assert len(reader) == 60
    assert reader.fps == pytest.approx(25, abs=0.5)
    assert reader.index.has_jumps


def tags_of(flv: bytes) -> list[bytes]:
    """The tags of an FLV file, each with its length behind it."""
    tags, place = [], 13
    while place + 15 <= len(flv):
        end = place + 15 + int.from_bytes(flv[place + 1 : place + 4])
        tags.append(flv[place:end])
        place = end
    return tags


def test_an_flv_recorder_that_connects_again_starts_its_clock_anew(
    recording: Callable[[str, str, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "again.flv"
    again = tags_of(recording("flv", "libx264", 1).read_bytes())
    path.write_bytes(
        recording("flv", "libx264", 0).read_bytes() + b"".join(tag for tag in again if tag[0] == 9)  # of the video
    )
    check(path, monkeypatch)
    reader = VideoReader(path)
    assert (len(reader), reader.index.has_jumps, len(reader.index.lasting)) == (60, True, 1)
    assert reader.fps == pytest.approx(25, abs=0.5)


@pytest.mark.parametrize(("suffix", "codec"), [("mpg", "mpeg2video"), ("vob", "mpeg2video"), ("h264", "libx264")])
def test_joined_streams_without_a_clock_of_their_own_are_one_video(
    suffix: str, codec: str, recording: Callable[[str, str, int], Path], tmp_path: Path
) -> None:
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(recording(suffix, codec, 0).read_bytes() + recording(suffix, codec, 1).read_bytes())
    expected = full_decode(path)
    assert len(VideoReader(path)) == len(expected) == 60
    for number in (59, 31, 30, 29, 45, 2):
        assert np.array_equal(VideoReader(path)[number], expected[number])
    assert (np.diff(VideoReader(path).timestamps_seconds) >= 0).all()
    assert VideoReader(path).find_damage() is None


def test_a_clock_that_jumps_ahead_goes_on(
    recording: Callable[[str, str, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source = tmp_path / "gap.ts", recording("ts", "libx264", 0)
    with av.open(str(path), "w") as out, av.open(str(source)) as first, av.open(str(source)) as second:
        stream = out.add_stream_from_template(first.streams.video[0])
        for hours, container in enumerate((first, second)):
            for packet in container.demux(video=0):
                if packet.size:
                    assert packet.pts is not None
                    assert packet.dts is not None
                    packet.pts, packet.dts = packet.pts + hours * 3600 * 90000, packet.dts + hours * 3600 * 90000
                    packet.stream = stream
                    out.mux(packet)
    check(path, monkeypatch)
    assert VideoReader(path).duration_seconds == pytest.approx(60 / 25, abs=0.1)


# ---- lost packets


def pieces(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [content[place : place + SIZE] for place in range(0, len(content), SIZE)]


def inside_a_picture(path: Path, number: int) -> int:
    """Piece of the transport stream that holds the middle of packet `number`."""
    with av.open(str(path)) as container:
        packet = next(itertools.islice((one for one in container.demux(video=0) if one.size), number, None))
        assert packet.pos is not None
        return packet.pos // SIZE + packet.size // SIZE // 2


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
@pytest.mark.parametrize("number", [13, 29])
def test_a_lost_packet_is_damage_and_the_rest_is_there(
    number: int, codec: str, recording: Callable[[str, str, int], Path], tmp_path: Path
) -> None:
    source = recording("ts", codec, 0)
    expected = full_decode(source)
    kept = pieces(source)
    del kept[inside_a_picture(source, number)]
    path = tmp_path / "lost.ts"
    path.write_bytes(b"".join(kept))
    reader = VideoReader(path)
    assert len(reader) == 30
    damage = reader.find_damage()
    assert damage is not None
    assert "of 30 frames" in str(damage)
    good = []
    for frame in np.random.default_rng(0).permutation(30).tolist():
        try:
            assert np.array_equal(reader[frame], expected[frame])
            good.append(frame)
        except VideoError:
            continue
    assert set(range(8)) <= set(good)  # another group of pictures
    assert number == 29 or {28, 29} <= set(good)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_packets_that_are_renumbered_or_lost_between_pictures_are_whole(
    codec: str, recording: Callable[[str, str, int], Path], tmp_path: Path
) -> None:
    source = recording("ts", codec, 0)
    expected = full_decode(source)
    kept = pieces(source)
    start = inside_a_picture(source, 12)
    path = tmp_path / "renumbered.ts"
    renumbered = [one[:3] + bytes([one[3] & 0xF0 | one[3] + 5 & 15]) + one[4:] for one in kept[start:]]
    path.write_bytes(b"".join(kept[:start] + renumbered))
    with av.open(str(path)) as container:
        assert any(packet.is_corrupt for packet in container.demux(video=0))
    reader = VideoReader(path)
    assert len(reader.index.gaps)
    assert reader.find_damage() is None
    for frame in np.random.default_rng(0).permutation(30).tolist():
        assert np.array_equal(reader[frame], expected[frame])
    assert len(reader) == 30


@pytest.mark.slow
@pytest.mark.parametrize("coder", ["ac", "vlc", "hevc"])
def test_no_lost_packet_gives_another_picture_and_no_renumbered_one_is_damage(
    coder: str, moving_frames: list[np.ndarray], tmp_path: Path
) -> None:
    """The decoder itself finds nothing wrong in a fifth of the pictures of H.264 and in most of HEVC."""
    rng = np.random.default_rng(0)
    frames = [(frame // 2 + rng.integers(0, 90, frame.shape)).astype(np.uint8) for frame in moving_frames]
    codec, options = ("libx265", X265) if coder == "hevc" else ("libx264", {"g": "10", "bf": "2", "coder": coder})
    source = write_video(tmp_path / "source.ts", frames, 25, codec=codec, options=options)
    expected, whole = full_decode(source), pieces(source)
    inner = [
        place for place, one in enumerate(whole) if one[1] & 0x5F == 1 and one[2] == 0
    ]  # of the video, no beginnings
    for place in rng.choice(inner, 12, replace=False).tolist():
        lossy = b"".join(whole[:place] + whole[place + 1 :])
        reader = VideoReader(lossy)
        if reader.index.num_packets < len(
            expected
        ):  # the beginning of a picture is lost behind long headers: there are fewer
            (tmp_path / "lossy.ts").write_bytes(lossy)
            assert reader.find_damage() is not None or len(reader) == len(full_decode(tmp_path / "lossy.ts")), place
            continue
        assert len(reader) == len(expected)
        assert reader.find_damage() is not None, place
        for number in rng.permutation(len(expected)).tolist():
            try:
                assert np.array_equal(reader[number], expected[number]), (place, number)
            except VideoError:
                continue
        renumbered = [one[:3] + bytes([one[3] & 0xF0 | one[3] + 3 & 15]) + one[4:] for one in whole[place:]]
        assert VideoReader(b"".join(whole[:place] + renumbered)).find_damage() is None, place


def test_a_stream_whose_packets_are_not_counted_is_whole(
    recording: Callable[[str, str, int], Path], tmp_path: Path
) -> None:
    source = recording("ts", "libx264", 0)
    path = tmp_path / "uncounted.ts"
    path.write_bytes(b"".join(one[:3] + bytes([one[3] & 0xF0]) + one[4:] for one in pieces(source)))
    reader = VideoReader(path)
    assert len(reader.index.gaps) > 20
    assert np.array_equal(reader.get_batch(range(30)), full_decode(source))
    assert reader.find_damage() is None


# ---- the clock


def test_jumps_are_steps_back_and_long_steps_ahead_where_formats_have_them() -> None:
    key = [True, False, True, False, False]

    def jumps(
        dts: list[int], format_name: str, units_per_second: int = 1000, pts: list[int] | None = None
    ) -> list[int]:
        return find_jumps(pts or dts, dts, key, units_per_second, format_name=format_name)

    assert jumps([0, 40, 10, 50, 90], "mov") == [2]
    assert jumps([0, 40, 80, 70, 90], "mpegts") == []  # a muxer's error
    assert jumps([5000, 5040, 5080, 70, 90], "matroska,webm") == [3]
    assert jumps([0, 40, 80, 20080, 20090], "mpegts") == [3]
    assert jumps([0, 40, 80, 20080, 20090], "matroska,webm") == []  # shown for long
    assert jumps([0, NO_TIME, 80, NO_TIME, 20], "mpeg", units_per_second=10) == [4]
    assert jumps([5000, 5040, NO_TIME, NO_TIME, 80], "flv", pts=[5080, 5040, 0, 40, 80]) == [2]
    assert jumps([5000, 5040, NO_TIME, NO_TIME, 80], "flv", pts=[5080, 5040, NO_TIME, 5060, 80]) == [4]


def test_a_clock_goes_on_behind_what_was_shown_before() -> None:
    pts, dts = continue_clock([10, 30, 20, 0, 20, 10], [0, 10, 20, -10, 0, 10], [10] * 6, [3])
    assert pts == [10, 30, 20, 40, 60, 50]
    assert dts == [0, 10, 20, 30, 40, 50]
    pts, dts = continue_clock([10, NO_TIME, 30, 5, 15], [NO_TIME] * 5, [0] * 5, [3])
    assert pts == [10, NO_TIME, 30, 50, 60]
    assert dts == [NO_TIME] * 5
    assert continue_clock([7, 8, NO_TIME, 3], [7, 8, NO_TIME, 3], [0, 0, 0, 0], [2, 3])[0] == [7, 8, NO_TIME, 9]


def test_even_clocks_miss_no_picture() -> None:
    assert is_even([])
    assert is_even([3600, 0, 7201, 10800])
    assert not is_even([3600, 0, 10800, 14400])
    assert not is_even([3600, 0, NO_TIME, 7200])


def test_a_frame_behind_a_lost_picture_does_not_depend_on_what_was_asked(
    recording: Callable[[str, str, int], Path], tmp_path: Path
) -> None:
    source = recording("ts", "libx264", 0)
    with av.open(str(source)) as container:
        places = [(one.pos or 0) // SIZE for one in container.demux(video=0) if one.size]
    kept = pieces(source)
    path = tmp_path / "lost.ts"
    path.write_bytes(b"".join(kept[: places[12]] + kept[places[14] :]))
    reader = VideoReader(path)
    assert len(reader) == 28
    assert reader.index.has_losses

    def frame(reader: VideoReader, number: int) -> bytes:
        try:
            return reader[number].tobytes()
        except VideoError:
            return b"lost"

    in_order = [frame(reader, number) for number in range(28)]
    assert [frame(VideoReader(path), number) for number in range(28)] == in_order


class StartsAnew:
    """A container in which PyAV meets a stream that it does not know yet, before packet 2 and before packet 3."""

    def __init__(self) -> None:
        self.rest = iter([1, IndexError("list index out of range"), 2, IndexError("list index out of range"), 3])

    def demux(self, stream: object) -> Iterator[int]:
        for item in self.rest:
            if isinstance(item, IndexError):
                raise item
            yield item


def test_packets_behind_a_stream_that_begins_in_the_middle_are_read() -> None:
    assert list(packets_of(StartsAnew(), None)) == [1, 2, 3]  # type: ignore[arg-type]


def test_a_recording_in_which_sound_begins_in_the_middle_is_read_whole(
    recording: Callable[[str, str, int], Path], tmp_path: Path
) -> None:
    silent, with_sound = recording("ts", "libx264", 0), tmp_path / "sound.ts"
    with av.open(str(silent)) as source, av.open(str(with_sound), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream("mp2", rate=48000)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = video
                out.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1152), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 48000
        out.mux(sound.encode(frame))
        out.mux(sound.encode())
    (tmp_path / "both.ts").write_bytes(silent.read_bytes() + with_sound.read_bytes())
    reader = VideoReader(tmp_path / "both.ts")
    assert np.array_equal(reader.get_batch(range(len(reader))), np.concatenate([full_decode(silent)] * 2))
