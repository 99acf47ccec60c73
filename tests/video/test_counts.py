"""The counts of all pictures at once say the same as those that are read one after the other."""

from pathlib import Path

import av
import numpy as np
import pytest

from kinema.video import write_video
from kinema.video.bitstream import nal_length_size
from kinema.video.counts import HEAD_BYTES, Heads, head_finder
from kinema.video.slice_headers import H264Headers, HevcHeaders

CODECS = {
    "libx264": {"x264-params": "keyint=90:min-keyint=30:bframes=3:threads=1"},
    "libx265": {"x265-params": "keyint=90:bframes=4:pools=none:frame-threads=1:log-level=none"},
}


@pytest.fixture(params=[(codec, suffix) for codec in CODECS for suffix in (".mp4", ".ts")], ids=str)
def stream(request: pytest.FixtureRequest, tmp_path: Path, moving_frames: list[np.ndarray]) -> tuple:
    """Beginnings of 120 slices, the parameter sets, and (sequence, place) of each picture read alone.

    The counts have 6 or 8 bits, so that they wrap.
    """
    codec, suffix = request.param
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    path = write_video(tmp_path / f"clip{suffix}", moving_frames * 3, 25, codec=codec, options=CODECS[codec])
    with av.open(str(path)) as container:
        extradata = container.streams.video[0].codec_context.extradata
        packets = [packet for packet in container.demux(video=0) if packet.size]
    kind = H264Headers if codec == "libx264" else HevcHeaders
    name = "h264" if codec == "libx264" else "hevc"
    find = head_finder(name, nal_length_size(name, extradata))
    reader = kind(extradata)
    pictures = [reader.read(bytes(packet)) for packet in packets]
    counts = [(picture.sequence, picture.place) for picture in pictures if picture is not None]
    assert len(counts) == 120
    return b"".join(map(find, packets)), kind(extradata), counts


def test_an_order_by_counts_is_confirmed_and_no_other(stream: tuple) -> None:
    beginnings, headers, counts = stream
    heads = Heads(beginnings, headers)
    order = np.array(sorted(range(120), key=counts.__getitem__))
    assert (order != np.arange(120)).any()
    assert heads.confirm(order) is True
    for place in range(119):
        other = order.copy()
        other[[place, place + 1]] = order[[place + 1, place]]
        assert heads.confirm(other) is False


def test_a_picture_that_is_not_understood_confirms_nothing(stream: tuple) -> None:
    beginnings, headers, counts = stream
    order = np.array(sorted(range(120), key=counts.__getitem__))
    lost = int(order[7])
    spoilt = beginnings[: lost * HEAD_BYTES] + bytes(HEAD_BYTES) + beginnings[(lost + 1) * HEAD_BYTES :]
    assert Heads(spoilt, headers).confirm(order) is None
    assert Heads(spoilt, headers).confirm(order[::-1]) is False


def test_headers_that_change_are_for_the_reader_of_single_pictures(stream: tuple) -> None:
    beginnings, headers, counts = stream
    order = np.array(sorted(range(120), key=counts.__getitem__))
    headers.take_extradata(b"\1" + bytes(40))  # lengths of one byte
    assert headers.have_changed
    assert Heads(beginnings, headers).confirm(order) is False
