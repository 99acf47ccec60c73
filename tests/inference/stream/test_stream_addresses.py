import sys

import pytest

from kinema.errors import VideoError
from kinema.inference.stream.addresses import SourceKind, more_formats_of, parse_source, protocols_of
from kinema.video.limits import VideoLimits

LIMITS = VideoLimits()


def test_what_names_a_stream(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "7").touch()
    monkeypatch.chdir(tmp_path)
    assert parse_source("-", LIMITS).kind is SourceKind.STDIN
    assert parse_source("a.mp4", LIMITS).kind is SourceKind.FILE
    assert parse_source("./7", LIMITS).kind is SourceKind.FILE
    assert parse_source(f"file://{tmp_path}/a.mp4", LIMITS).target == f"{tmp_path}/a.mp4"
    address = parse_source("RTSP://user:secret@camera/1?token=abc", LIMITS)
    assert (address.kind, address.scheme) == (SourceKind.ADDRESS, "rtsp")
    assert address.target == "RTSP://user:secret@camera/1?token=abc"
    assert "secret" not in address.name
    assert "abc" not in address.name


def test_an_address_opens_its_own_protocol_and_what_lies_below_it():
    def protocols(text, limits=LIMITS):
        return protocols_of(parse_source(text, limits), limits).split(",")

    assert protocols("rtsp://camera/1") == ["rtsp", "tcp"]
    assert protocols("http://camera/1") == ["http", "tcp", "httpproxy"]
    assert protocols("tcp://camera:1") == ["tcp"]
    assert protocols("gopher://a/b", VideoLimits(more_protocols=("gopher", "tcp"))) == ["gopher", "gopher", "tcp"]
    assert protocols("-") == ["none"]
    assert more_formats_of(parse_source("rtsp://camera/1", LIMITS)) == ("rtsp",)
    assert more_formats_of(parse_source("http://camera/1", LIMITS)) == ()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("concat://a|b", "streams of the kind 'concat' are not opened, only http, .*more_protocols=concat"),
        ("fd://\x1b[31m:pw@0", r"fd://.*\*\*\*@0: streams of the kind 'fd'"),
        ("absent.mp4", "absent.mp4: no such file"),
        ("/", "/: is a folder: a stream is read from one video file, a camera or an address"),
        ("999", r"camera 999: there is no such camera; a file of that name is \./999"),
    ],
)
def test_what_is_not_opened_is_named(source, message):
    with pytest.raises(VideoError, match=message) as raised:
        parse_source(source, LIMITS)
    assert "\x1b" not in str(raised.value)


@pytest.mark.skipif(sys.platform != "linux", reason="cameras are files on Linux")
def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(VideoError, match=r"camera 250: there is no /dev/video250; cameras of this machine: "):
        parse_source("250", LIMITS)


@pytest.mark.skipif(sys.platform == "linux", reason="Linux has cameras")
def test_a_system_without_cameras_is_named():
    with pytest.raises(VideoError, match="cameras cannot be read on"):
        parse_source("0", LIMITS)
