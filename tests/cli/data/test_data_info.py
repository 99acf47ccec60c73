"""`kinema data info FILE`: what is printed, for people and for programs."""

import json
import re

import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.errors import AnnotationError, VideoError


def info(*arguments):
    return CliRunner().invoke(app, ["data", "info", *map(str, arguments)])


def test_a_video_is_described(make_video):
    path = make_video(num_frames=40, size=(64, 48), fps=10, options={"x264-params": "keyint=20:scenecut=0"})
    result = info(path)
    assert result.exit_code == 0, result.exception
    rows = dict(
        re.split(r" {2,}", line.strip(), maxsplit=1) for line in result.stdout.splitlines() if "   " in line.strip()
    )
    assert rows["codec"].startswith("h264")
    assert rows["size"] == "64x48"
    assert rows["frame rate"] == "10 a second"
    assert rows["frames"] == "40, all can be decoded"
    assert rows["duration"] == "4.000 s"
    assert rows["key frames"] == "2, one in 20.0 frames on average, at most 20 apart"
    assert rows["audio"] == "none"
    assert "* 2 key frames in 40 frames: 10 others are decoded first to reach a random frame" in result.stdout


def test_programs_get_one_value(make_video):
    value = json.loads(info(make_video(), "--json").stdout)
    assert (value["num_frames"], value["width"], value["sample_aspect_ratio"]) == (20, 64, None)
    assert value["num_keyframes"] == 1
    assert isinstance(value["advice"], list)


def test_damage_is_shown_unless_it_shall_be_fast(damaged_video):
    thorough = info(damaged_video)
    assert thorough.exit_code == 0
    assert "20, damaged" in thorough.stdout
    assert "* damaged: " in thorough.stdout
    fast = info(damaged_video, "--fast").stdout
    assert "damaged:" not in fast
    assert "* whether every frame can be decoded was not tried" in fast


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--plot", "a.png"), "Invalid value for --plot: goes with a data set, and"),
        (("--val", "a.txt"), "Invalid value for --val: goes with a data set, and"),
        (("--plot", "a.abc"), "Invalid value for --plot: expected a file .png, .svg, .pdf, got a.abc"),
    ],
)
def test_options_without_effect_are_usage_errors(make_video, options, message):
    result = info(make_video(), *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_what_is_no_video_is_refused(tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        raise info(tmp_path / "absent.mp4").exception
    (tmp_path / "train.txt").write_text("a.mp4 0\n")
    for path in (tmp_path, tmp_path / "train.txt"):
        with pytest.raises(AnnotationError, match=r"train\.txt:1: the clip 'a\.mp4' is not there: looked in"):
            raise info(path).exception
