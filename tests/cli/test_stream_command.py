"""`kinema stream`, in this process; a file stands for the camera."""

import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from kinema.checkpoints.saving import save_pretrained
from kinema.cli.main import app
from kinema.errors import VideoError
from kinema.models import create_model, zoo
from kinema.video import VideoReader, write_video
from waiting import wait_until

SAMPLING = [dict(type="SampleFrames", clip_len=4, frame_interval=2, test_mode=True)]
PREPROCESSING = [
    dict(type="Resize", scale=(32, 32), keep_ratio=False),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint, and a clip of 4 s in which the lights go on for a while."""
    folder = tmp_path_factory.mktemp("stream")
    torch.manual_seed(0)
    model = create_model("compact3d", num_classes=2)
    config = dict(
        model=zoo.model_config("compact3d", 2),
        classes=["dark", "light\x1b[31m"],
        sampling=SAMPLING,
        preprocessing=PREPROCESSING,
    )
    checkpoint = save_pretrained(model, folder / "model", config=config)
    levels = [20] * 15 + [230] * 15 + [20] * 10
    write_video(folder / "clip.mp4", [np.full((48, 64, 3), level, np.uint8) for level in levels], 10)
    return str(checkpoint), str(folder / "clip.mp4")


@pytest.fixture
def stream(files):
    """Runs the command on the clip: exit status, lines of stdout, stderr."""

    def run(*options, source=None):
        arguments = ["stream", files[0], source or files[1], *options]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        return result.exit_code, result.stdout.splitlines(), result.stderr

    return run


def threshold_between(stream):
    """A score of the second class that only a part of the clip reaches."""
    _, lines, _ = stream("--window", "0.5", "--json", "--windows", "--max-events", "100")
    scores = [value["scores"]["light\x1b[31m"] for value in map(json.loads, lines) if value["type"] == "window"]
    return (min(scores) + max(scores)) / 2


def test_lines_for_people_say_when_a_class_entered_and_left(stream):
    status, lines, notes = stream("--window", "0.5", "--windows")
    assert status == 0
    assert lines[0].startswith("0:00.0 to 0:00.5  ")
    events = [line for line in lines if "entered" in line or "left" in line]
    assert events[0].startswith("0:00.0  entered  ")
    assert events[-1].startswith("0:04.0  left     ")
    assert events[-1].endswith("s")
    assert "windows of 0.5 s every 0.25 s; Ctrl-C ends it" in notes
    assert "40 frames in 4.0 s; 15 windows; " in notes
    assert "\x1b" not in "".join(lines)


def test_json_lines_hold_one_value_each(stream):
    score = threshold_between(stream)
    status, lines, notes = stream(
        "--window", "0.5", "--json", "--each", "--threshold", f"light\x1b[31m={score}", "--classes", "light\x1b[31m"
    )
    start, *events, end = map(json.loads, lines)
    assert status == 0
    assert (start["type"], start["length_seconds"], start["classes"]) == ("start", 0.5, ["dark", "light\x1b[31m"])
    assert [(value["type"], value["event"]) for value in events[-2:]] == [("event", "entered"), ("event", "left")]
    left = events[-1]
    assert left["start_seconds"] == events[-2]["time_seconds"]
    assert left["end_seconds"] == left["time_seconds"] > left["start_seconds"]
    assert left["peak"] >= left["score"] >= score
    assert left["clock_time"] is None, "a file does not happen now"
    assert end["type"] == "end"
    assert (end["frames"], end["dropped"], end["reconnects"], end["gaps"]) == (40, 0, 0, 0)
    assert end["events"] == sum(value["event"] == "entered" for value in events)
    assert end["latency_median_seconds"] is None
    assert notes == ""


def test_the_length_of_a_clip_without_clips_is_a_usage_error(stream):
    status, _, notes = stream("--before", "3")
    assert status == 2
    assert "--before: is of the clips that --record writes" in " ".join(notes.replace("│", " ").split())


def test_events_are_posted_and_recorded(stream, tmp_path):
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        status, lines, _ = stream(
            *("--window", "0.5", "--json", "--webhook", url, "--record", str(tmp_path / "events"), "--before", "0.5")
        )
        server.shutdown()
    values = [json.loads(line) for line in lines]
    events = [value for value in values if value["type"] == "event"]
    assert status == 0
    assert bodies == events
    assert values[-1]["webhook"] == {"posted": len(events), "failed": 0}
    clips = [value["clip"] for value in events if value["event"] == "entered"]
    assert values[-1]["clips"] == len(clips) > 0
    for clip in clips:
        with VideoReader(clip) as reader:
            assert len(reader) > 1


def test_where_a_file_breaks_off_the_classes_leave_before_the_error(files, damaged_video):
    result = CliRunner().invoke(app, ["stream", files[0], str(damaged_video), "--json"])
    assert isinstance(result.exception, VideoError)
    assert "frame 12 cannot be decoded" in str(result.exception)
    values = [json.loads(line) for line in result.stdout.splitlines()]
    assert [value.get("event", value["type"]) for value in values] == ["start", "entered", "left", "end"]
    assert (values[2]["end_seconds"], values[3]["frames"]) == (pytest.approx(1.2), 12)


def test_it_ends_after_some_seconds_or_events(stream):
    _, lines, _ = stream("--window", "0.5", "--json", "--duration", "1.5")
    assert json.loads(lines[-1])["frames"] == 15
    _, lines, _ = stream("--window", "0.5", "--json", "--max-events", "1")
    end = json.loads(lines[-1])
    assert (end["events"], end["frames"] < 40) == (1, True)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_a_summary(stream, number, status):
    before = signal.getsignal(number)

    def send_when_it_is_awaited():
        wait_until(lambda: signal.getsignal(number) is not before)
        signal.raise_signal(number)

    sender = threading.Thread(target=send_when_it_is_awaited)
    sender.start()
    got, lines, _ = stream("--window", "0.5", "--json", "--realtime")
    sender.join()
    end = json.loads(lines[-1])
    assert (got, end["type"], end["frames"] < 40) == (status, "end", True)
    assert end["latency_median_seconds"] is None or end["latency_median_seconds"] >= 0


@pytest.mark.parametrize(
    ("options", "source", "status", "message"),
    [
        ((), "absent.mp4", 1, "absent.mp4: no such file"),
        ((), "gopher://user:secret@a/b", 1, "streams of the kind 'gopher' are not opened"),
        (("--duration", "0"), None, 2, "expected a positive number of seconds, got 0"),
        (("--stall-timeout", "-1"), None, 2, "stall_seconds must be a positive number of seconds, got -1"),
        (("--window", "-1"), None, 2, "length_seconds must be above 0"),
        (("--webhook", "ftp://user:secret@a/b"), None, 2, "a webhook must be an http or https address"),
        (("--realtime",), "-", 2, "only files have a pace of their own to be read at"),
        (("--classes", "fly"), None, 2, "there is no class 'fly'"),
    ],
)
def test_what_is_wrong_is_named(stream, options, source, status, message):
    if status == 1:
        with pytest.raises(VideoError, match=message) as raised:
            stream(*options, source=source)
        assert "secret" not in str(raised.value)
        return
    got, _, notes = stream(*options, source=source)
    text = " ".join(notes.replace("│", " ").split())
    assert (got, message in text) == (2, True)
    assert "secret" not in text


def test_swapped_arguments_are_named(files):
    result = CliRunner().invoke(app, ["stream", files[1], files[0]])
    assert "the order is kinema stream CHECKPOINT SOURCE" in str(result.exception)
