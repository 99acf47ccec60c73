"""`kinema timeline`: what it prints, writes and refuses."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from kinema.checkpoints.saving import save_pretrained
from kinema.cli.main import app
from kinema.cli.timeline import FORMATS
from kinema.datasets.annotations.writing import WRITERS
from kinema.inference.windows import VideoFacts, WindowScore, WindowScores
from kinema.models import create_model, zoo
from kinema.video import VideoReader, VideoWriter

STEPS = dict(
    sampling=[dict(type="SampleFrames", clip_len=4, frame_interval=2, test_mode=True)],
    preprocessing=[
        dict(type="Resize", scale=(-1, 36)),
        dict(type="CenterCrop", crop_size=32),
        dict(type="FormatShape", input_format="NCTHW"),
        dict(type="PackActionInputs"),
    ],
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = create_model("compact3d", num_classes=3)
    config = dict(
        model=zoo.model_config("compact3d", 3), classes=["jump", "run, fast", "sit"], clip_seconds=0.8, **STEPS
    )
    return str(save_pretrained(model, tmp_path_factory.mktemp("model") / "saved", config=config))


def run(*arguments):
    result = CliRunner().invoke(app, ["timeline", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(path, rows, *, classes=("jump", "run", "sit"), video="game.mp4", stride=1.0, **more):
    windows = [WindowScore(k, k + 1.0, 25 * k, 25 * k + 25, np.float32(row)) for k, row in enumerate(rows)]
    facts = VideoFacts(video=video, model="m", classes=classes, length_seconds=1.0, stride_seconds=stride, **more)
    WindowScores.of(windows, facts).save(path)
    return path


ROWS = [[0.7, 0.2, 0.1]] * 3 + [[0.1, 0.6, 0.3]] * 2 + [[0.3, 0.3, 0.4]]


def test_videos_give_tables_and_files_and_a_broken_one_is_named(checkpoint, place, make_video):
    (place / "other").mkdir()
    first, second = make_video("game.mp4", num_frames=30), make_video(place / "other" / "game.mp4", num_frames=8)
    (place / "broken.mp4").write_bytes(first.read_bytes()[:300])
    formats = "csv,srt,elan,label-studio"
    result = run(
        checkpoint, first, "broken.mp4", second, "--to", formats, "--ethogram", "pictures/e.svg", "--annotated"
    )
    assert result.exit_code == 1
    assert "error: broken.mp4: " in result.stderr
    assert 'Label Studio\'s interface needs <Video name="video" value="$video" frameRate="$fps"/>' in result.stderr
    for name in ("game.npz", "game-2.npz", "game.srt", "game-2.srt", "game.eaf", "game-2.annotated.mp4"):
        assert f"wrote timeline/{name}\n" in result.stdout
    shared = {"bouts.csv", "segments.csv", "label-studio.json"}
    assert shared <= {path.name for path in (place / "timeline").iterdir()}
    assert {
        line.removeprefix("wrote timeline/") for line in result.stdout.splitlines() if "wrote timeline" in line
    } == {path.name for path in (place / "timeline").iterdir()}
    assert "wrote pictures/e.svg" in result.stdout
    assert "game.mp4: 0:03.0, 7 windows of 0.8 s, every 0.4 s" in result.stdout
    assert len(VideoReader(place / "timeline" / "game.annotated.mp4")) == 30
    with (place / "timeline" / "segments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["video"] for row in rows} == {"../game.mp4", str(second)}, "from the folder of the table"
    scores = WindowScores.load(place / "timeline" / "game.npz")
    assert (scores.video, scores.facts.length_seconds, len(scores)) == ("game.mp4", 0.8, 7)


def test_of_a_video_that_breaks_off_what_comes_before_is_kept(checkpoint, place, damaged_video):
    result = run(checkpoint, damaged_video.name, "--to", "csv", "--annotated")
    assert result.exit_code == 1
    assert "damaged.mp4: 0:01.2, 2 windows of 0.8 s, every 0.4 s\n  broken: this is what comes before frame 12" in (
        result.stdout
    )
    assert "error: damaged.mp4: frame 12 cannot be decoded: " in result.stderr
    assert "of 20 frames 17 are good: there are scores of the first 1.2 s\n" in result.stderr
    assert "error: timeline/damaged.annotated.mp4: ends early: damaged.mp4: frame 12 cannot be" in result.stderr
    assert len(VideoReader(place / "timeline" / "damaged.annotated.mp4")) == 12
    for name in ("damaged.npz", "damaged.annotated.mp4", "segments.csv"):
        assert f"wrote timeline/{name}\n" in result.stdout
    result = run("--scores", "timeline/damaged.npz", "--json")
    assert result.exit_code == 0
    (value,) = json.loads(result.stdout)["videos"]
    assert value["error"].startswith("damaged.mp4: frame 12 cannot be decoded")
    assert value["segments"][-1]["end_seconds"] == value["duration_seconds"] == pytest.approx(1.2)


def test_folders_are_made_before_the_work_and_no_empty_one_is_left(checkpoint, place, make_video):
    (place / "file").touch()
    with pytest.raises(NotADirectoryError, match="file/out"):
        run(checkpoint, make_video("game.mp4"), "--out", "file/out")
    assert run(checkpoint, "absent.mp4", "--out", "new/out", "--ethogram", "pictures/e.svg").exit_code == 1
    assert {path.name for path in place.iterdir()} == {"file", "game.mp4"}


def test_json_is_one_value_with_segments_bouts_and_errors(checkpoint, place, make_video):
    make_video("game.mp4", num_frames=30)
    result = run(checkpoint, "game.mp4", "absent.mp4", "--json", "--window", 1, "--stride", 1, "--out", "o")
    assert result.exit_code == 1
    value = json.loads(result.stdout)
    game, absent = value["videos"]
    assert absent == {"video": "absent.mp4", "error": "absent.mp4: no such file"}
    assert (game["video"], game["duration_seconds"], game["windows"], game["files"]) == (
        "game.mp4",
        3,
        3,
        ["o/game.npz"],
    )
    assert game["settings"]["best_only"]
    assert game["segments"][0]["start_seconds"] == 0
    assert [bout["label"] for bout in game["bouts"]] == ["jump", "run, fast", "sit"]
    assert value["files"] == ["o/bouts.csv"]


def test_stored_scores_are_decided_anew(place):
    stored("a.npz", ROWS)
    plain = run("--scores", "a.npz")
    assert plain.exit_code == 0
    assert [line.split() for line in plain.stdout.splitlines() if line.startswith(" 0:")] == [
        ["0:00.0", "0:03.0", "3.0", "jump", "0.70", "0.70"],
        ["0:03.0", "0:05.0", "2.0", "run", "0.60", "0.60"],
        ["0:05.0", "0:06.0", "1.0", "sit", "0.40", "0.40"],
    ]
    assert "wrote" not in plain.stdout
    assert [path.name for path in place.iterdir()] == ["a.npz"]
    labels = {
        "--threshold 0.65": ["jump"],
        "--threshold sit=0.45": ["jump", "run"],
        "--threshold sit=0.25 --each": ["jump", "run", "sit"],
        "--threshold 0.25 --each --merge-gap 3": ["jump", "run", "sit"],
        "--threshold 0.5 --threshold run=0.7": ["jump"],
        "--threshold 0.25": ["jump", "run", "sit"],
        "--each": ["jump", "run"],
        "--background run": ["jump", "sit"],
        "--classes sit,run --min-duration 2": ["run"],
        "--best --hysteresis 0.9": ["jump"],
        "--smooth 6": ["jump", "run"],
        "--smooth mean:6": ["jump", "run"],
    }
    for options, expected in labels.items():
        result = run("--scores", "a.npz", "--json", *options.split())
        (video,) = json.loads(result.stdout)["videos"]
        assert [segment["label"] for segment in video["segments"]] == expected, options
    nothing = run("--scores", "a.npz", "--threshold", 0.99)
    assert nothing.stdout == "game.mp4: 0:06.0, 6 windows of 1 s, every 1 s\n  no class is there at any time\n\n"


def test_a_class_with_a_comma_in_its_name_can_be_chosen(place):
    stored("a.npz", [[0.9, 0.1], [0.1, 0.9]], classes=("run, fast", "sit"))
    for options in (
        ["--classes", "run, fast"],
        ["--background", "sit"],
        ["--threshold", "run, fast=0.8", "--threshold", "1"],
    ):
        (video,) = json.loads(run("--scores", "a.npz", "--json", *options).stdout)["videos"]
        assert video["segments"][0]["label"] == "run, fast"


def test_of_a_long_list_the_rest_is_counted(place):
    stored("a.npz", [[k % 2, 1 - k % 2] for k in range(100)], classes=("a", "b"))
    assert "... and 40 more (all: --json, --to csv)" in run("--scores", "a.npz").stdout
    names = tuple(f"class {k}" for k in range(70))
    stored("b.npz", np.eye(70), classes=names)
    assert "... and 10 more (all: --json)\n" in run("--scores", "b.npz").stdout


def test_what_stored_scores_do_not_hold_is_an_error_of_that_file_alone(place):
    stored("good.npz", ROWS)
    (place / "no.npz").write_text("no")
    stored("endless.npz", ROWS, stride=0.0)
    stored("other.npz", ROWS, thresholds={"fly": 0.5})
    result = run("--scores", ".", "--annotated", "--to", "label-studio,csv", "--out", "o")
    assert result.exit_code == 1
    assert "error: no.npz: is no file of window scores that can be read" in result.stderr
    assert "error: endless.npz: its scores give no timeline: stride_seconds must be at least 0.001" in result.stderr
    assert "error: other.npz: its scores give no timeline: thresholds: there is no class 'fly'" in result.stderr
    assert "error: o/game.annotated.mp4: not written: game.mp4: " in result.stderr
    assert "error: o/label-studio.json: not written: game.mp4: " in result.stderr
    assert sorted(path.name for path in (place / "o").iterdir()) == ["bouts.csv", "segments.csv"]
    assert "jump" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scores", "a.npz", "--threshold", "1.5"], "expected a score from 0 to 1, or CLASS=SCORE, got '1.5'"),
        (["--scores", "a.npz", "--threshold", "=0.5"], "expected a score from 0 to 1, or CLASS=SCORE, got '=0.5'"),
        (["--scores", "a.npz", "--threshold", ".5", "--threshold", ".6"], "two scores for all classes, 0.5 and .6"),
        (["--scores", "a.npz", "--threshold", "rum=0.5"], "--threshold: there is no class 'rum', but run"),
        (["--scores", "a.npz", "--classes", "rum"], "--classes: there is no class 'rum', but run"),
        (["--scores", "a.npz", "--background", "rum"], "--background: there is no class 'rum', but run"),
        (["--scores", "a.npz", "--classes", "run", "--background", "run"], "--background: no class is left to report"),
        (["--scores", "a.npz", "--smooth", "-1"], "--smooth: expected 0 or more seconds, as in 1.5, or mean:1.5 or"),
        (["--scores", "a.npz", "--smooth", "mode:1"], "median:1.5 or gaussian:1.5, got 'mode:1'"),
        (["--scores", "a.npz", "--smooth", "nan"], "expected 0 or more seconds, got nan"),
        (["--scores", "a.npz", "--hysteresis", "1"], "expected a share from 0 to below 1, got 1.0"),
        (
            ["--scores", "a.npz", "--to", "xml"],
            "expected csv, json, srt, vtt, elan, boris, label-studio, via, got 'xml'",
        ),
        (["--scores", "a.npz", "--ethogram", "e.gif"], "expected a file .png, .svg, .pdf, got e.gif"),
        (["--scores", "a.npz", "--window", "2"], "--window: has no effect on stored scores: leave it out"),
        (["--scores", "a.npz", "--out", "a.npz"], "--out: expected a folder, got the file a.npz"),
        (["--scores", "empty"], "empty: no file of scores (.npz) in this folder"),
        (["MODEL"], "expected at least one video, as in kinema timeline CHECKPOINT VIDEO..."),
        (["MODEL", "v.mp4", "-"], "a timeline is of files: for standard input use kinema stream"),
        (["MODEL", "v.mp4", "--classes", "rum"], "--classes: there is no class 'rum', but jump"),
        (["MODEL", "v.mp4", "--stride", "2", "--window", "1"], "stride_seconds must be at most length_seconds"),
    ],
)
def test_wrong_options_exit_with_2_before_anything_is_written(checkpoint, place, arguments, message, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    stored("a.npz", ROWS)
    (place / "empty").mkdir()
    result = run(*[checkpoint if argument == "MODEL" else argument for argument in arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert sorted(path.name for path in place.iterdir()) == ["a.npz", "empty"]


def test_deciding_anew_needs_no_torch(place):
    stored("a.npz", ROWS)
    script = (
        "import sys; from kinema.cli.main import app; app(['timeline', '--scores', 'a.npz'], standalone_mode=False);"
        " sys.exit('torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "jump" in process.stdout


def test_real_clips_of_a_variable_rate_and_with_a_late_start(checkpoint, place, shared_clips):
    names = ("formats/baseball.mp4", "kinetics_style/v_ApplyEyeMakeup_g01_c01.avi", "formats/newtonscradle.gif")
    result = run(checkpoint, *(shared_clips / name for name in names), "--json", "--out", "o")
    assert result.exit_code == 0, result.stderr
    for name, video in zip(names, json.loads(result.stdout)["videos"], strict=True):
        with VideoReader(shared_clips / name) as reader:
            shown = reader.timestamps_seconds
        seconds = shown[-1] - shown[0]
        assert seconds < video["duration_seconds"] < seconds + 0.2
        segments = video["segments"]
        assert segments[0]["start_seconds"] == 0
        assert sum(s["end_seconds"] - s["start_seconds"] for s in segments) == pytest.approx(video["duration_seconds"])


def test_names_of_others_cannot_act_on_the_terminal(checkpoint, place):
    name = "\x1b[31mred\n$x$.mp4"
    with VideoWriter(place / name, 10) as writer:
        writer.write_batch(np.full((12, 48, 64, 3), 90, np.uint8))
    result = run(checkpoint, name, "--ethogram", "e.png")
    assert result.exit_code == 0, result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert "\\x1b[31mred\\n$x$.mp4: 0:01.2" in result.stdout


def test_every_format_that_can_be_written_is_offered():
    assert tuple(WRITERS) == FORMATS  # written out there, since naming them must not import torch
