"""`kinema eval`: the numbers of files of scores, and those of several together."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from command_line import kinema
from kinema.cli.main import app
from kinema.datasets.synthetic import MotionDataset, make_motion_dataset
from kinema.evaluation import ClipScores, FailedClip, ScoreDump, read_dump, write_dump


def some_scores(seed: int = 0) -> ScoreDump:
    scores = np.random.default_rng(seed).random((6, 3)).astype(np.float32)
    paths = tuple(f"clips/{name}.mp4" for name in "abcdef")
    clips = ClipScores(paths, np.array([0, 1, 2, 0, 1, 2]), scores, ("jump", "run", "sit"), root="/data")
    return ScoreDump(clips, (FailedClip("/data/x.mp4", "/data/x.mp4: no such file", 1),), "/data/val.txt")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Three files of scores, the clips of the second in another order."""
    names = [str(tmp_path / name) for name in ("a.npz", "b.json", "c.npz")]
    for seed, name in enumerate(names):
        dump = some_scores(seed)
        if seed == 1:
            clips = dump.clips
            back = {"paths": clips.paths[::-1], "labels": clips.labels[::-1], "scores": clips.scores[::-1]}
            dump = replace(dump, clips=replace(clips, **back))
        write_dump(name, dump)
    return names


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)], env={"COLUMNS": "200"})


def test_numbers_classes_and_wrong_clips_are_shown(files: list[str]) -> None:
    result = run(files[0])
    assert result.exit_code == 0
    hits = some_scores().clips.hits
    rows = [line.split() for line in result.stdout.splitlines()]
    assert "6 of 7 clips of /data/val.txt; 1 broken, not in the numbers" in result.stdout
    assert ["acc/top1", f"{hits.mean():.4f}"] in [row[:2] for row in rows]
    assert ["jump", "2"] in [row[:2] for row in rows]
    assert f"{6 - hits.sum()} of 6 clips are wrong" in result.stdout


def test_json_and_csv_carry_it_all(files: list[str], tmp_path: Path) -> None:
    result = run(files[0], "--json", "--csv", tmp_path / "out.csv")
    value = json.loads(result.stdout)
    assert (value["clips"], len(value["predictions"])) == (6, 6)
    assert value["failed"] == [{"path": "/data/x.mp4", "error": "/data/x.mp4: no such file"}]
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [row["path"] for row in rows[:2]] == ["/data/clips/a.mp4", "/data/clips/b.mp4"]
    assert (rows[-1]["label"], rows[-1]["error"]) == ("run", "/data/x.mp4: no such file")


@pytest.mark.parametrize("weights", [("1,1,0.5",), ("1", "1", "0.5"), ("1 1 .5",), ("2,2,1",)])
def test_several_files_are_fused_with_their_weights(files: list[str], tmp_path: Path, weights: tuple[str, ...]) -> None:
    result = run("--json", *files, "--weights", *weights, "--out", tmp_path / "fused.json")
    assert result.exit_code == 0, result.output
    one, two, three = (some_scores(seed).clips.scores.astype(float) for seed in range(3))
    expected = (one * 0.4 + two * 0.4 + three * 0.2).astype(np.float32)
    fused = read_dump(tmp_path / "fused.json")
    assert fused.clips.scores == pytest.approx(expected, rel=1e-6)
    assert json.loads(result.stdout)["acc/top1"] == pytest.approx((expected.argmax(1) == fused.clips.labels).mean())
    assert "3 files of scores fused" in run(tmp_path / "fused.json").stdout


def test_clips_that_are_not_in_all_files_can_be_left_out(files: list[str], tmp_path: Path) -> None:
    clips = some_scores().clips
    less = replace(clips, paths=clips.paths[:5], labels=clips.labels[:5], scores=clips.scores[:5])
    write_dump(tmp_path / "d.npz", ScoreDump(less))
    refused = run(files[0], tmp_path / "d.npz")
    assert str(refused.exception).startswith(f"{tmp_path / 'd.npz'}: 1 clip is (clips/f.mp4) in {files[0]} alone")
    assert json.loads(run(files[0], tmp_path / "d.npz", "--common", "--json").stdout)["clips"] == 5


def test_metrics_can_be_chosen(files: list[str]) -> None:
    value = json.loads(run(files[0], "--metrics", "mean_class_accuracy", "--json").stdout)
    assert [key for key in value if key.startswith("acc/")] == ["acc/mean1"]
    both = json.loads(run(files[0], "--metrics", "top_k_accuracy, ConfusionMatrix", "--json").stdout)
    assert [key for key in both if key.startswith("acc/")] == ["acc/top1"]
    assert "is not in the metric registry" in str(run(files[0], "--metrics", "Unknown").exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fuse", "sum"), "expected one of mean, softmax-mean, geometric-mean, got 'sum'"),
        (("--weights", "1,2"), "expected one number a file, such as 1,1,0.5: got 2 for 3 files"),
        (("--weights", "a"), "expected numbers of at least 0, not all 0, such as 1,1,0.5; got 'a'"),
        (("--weights", "0,0,0"), "expected numbers of at least 0"),
        (("--weights=-1,1,1",), "expected numbers of at least 0"),
        (("--metrics", ","), "expected names of metrics"),
        (("--csv", "."), "is a folder: name a file"),
        (("--out", "."), "is a folder: name a file"),
        (("--out", f"{__file__}/s.npz"), "nothing can be written in"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(files: list[str], options: tuple[str, ...], message: str) -> None:
    result = run(*files, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_weights_of_a_single_file_are_refused(files: list[str]) -> None:
    assert "a.npz: --weights and --common fuse several files, but there is one" in str(
        run(files[0], "--weights", 1).exception
    )
    assert "expected a file of scores" in str(run(files[0], "--out", "x.txt").exception)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> MotionDataset:
    return make_motion_dataset(tmp_path_factory.mktemp("clips"), num_train=16, num_val=8, num_frames=8, size=(32, 32))


@pytest.mark.slow
def test_eval_prints_what_test_printed(clips: MotionDataset, tmp_path: Path) -> None:
    work = tmp_path / "work"
    kinema("train", clips.root, "--epochs", 1, "--work-dir", work, "--workers", 0)
    listed = tmp_path / "val.txt"
    listed.write_text(clips.val_list.read_text().replace("val/", f"{clips.root}/val/") + f"{tmp_path}/none.mp4 0\n")
    for suffix, as_json in ((".npz", ()), (".json", ("--json",))):
        options = ("--allow-broken", "--workers", 0, "--out", tmp_path / f"a{suffix}")
        tested = kinema("test", work, listed, *options, *as_json)
        assert tested.returncode == 0, tested.stderr
        again = kinema("eval", tmp_path / f"a{suffix}", *as_json)
        assert (again.returncode, again.stdout) == (0, tested.stdout), again.stderr
    flipped = kinema("test", work, listed, *options, "--tta", "flip", "--json")
    assert json.loads(flipped.stdout)["predictions"] != json.loads(tested.stdout)["predictions"]
    video = clips.root / clips.val_list.read_text().split()[0]
    (prediction,) = json.loads(kinema("predict", work, video, "--tta", "flip", "--json").stdout)
    assert prediction["scores"][0] == pytest.approx(
        max(json.loads(flipped.stdout)["predictions"][0]["scores"].values())
    )
    assert kinema("predict", work, video, "--tta", "turn").returncode == 2
    error = kinema("test", work, listed, "--out", tmp_path / "a.txt")
    assert (error.returncode, error.stdout) == (1, "")
    assert error.stderr.startswith(f"error: {tmp_path / 'a.txt'}: expected a file of scores")
