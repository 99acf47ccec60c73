"""The command line as a user types it: output and exit status."""

import errno
import importlib.util
import json
import os
import runpy

import pytest

from command_line import kinema
from kinema.cli.main import _one_line
from kinema.cli.output import print_table
from kinema.datasets.synthetic import make_motion_dataset


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    return make_motion_dataset(root, num_train=16, num_val=8, num_frames=8, size=(32, 32))


def test_wrong_usage_exits_with_2():
    assert kinema("train").returncode == 2
    assert kinema("train", "x", "--epoch", "3").returncode == 2
    for option, value in (("--epochs", 0), ("--batch-size", 0), ("--workers", -1), ("--seed", -1)):
        assert kinema("train", "x", option, value).returncode == 2


def test_models_are_listed():
    assert "compact3d" in kinema("models").stdout
    (card,) = json.loads(kinema("models", "compact*", "--json").stdout)
    assert card["name"] == "compact3d"
    missing = kinema("models", "resnet*")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("error: no model is called like 'resnet*': there are: ")
    assert "compact3d" in missing.stderr


@pytest.mark.slow
def test_a_dry_run_prints_what_a_training_would_need(clips, tmp_path):
    shown = kinema("train", clips.root, "--dry-run", "--world-size", 2, "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    run = json.loads(shown.stdout)
    assert (run["samples"], run["world_size"], run["strategy"], run["model"]) == (16, 2, "ddp", "CompactNet3D")
    assert run["memory"]["total"] > 12 * run["parameters"]
    assert list(tmp_path.iterdir()) == []
    table = kinema("train", clips.root, "--dry-run", cwd=tmp_path).stdout
    assert "samples an epoch" in table
    assert "memory of a process" in table


def test_a_dry_run_is_asked_for_alone(tmp_path):
    alone = kinema("train", "x", "--world-size", 2)
    assert alone.stderr.startswith("error: --world-size goes with --dry-run; to train: torchrun --nproc-per-node N -m")
    folds = kinema("train", "x", "--dry-run", "--folds", 3)
    assert folds.stderr.startswith("error: --dry-run tries one training: leave --folds out")


def test_of_several_processes_the_first_prints():
    def listed(rank):
        return kinema("models", "--json", env={"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank})

    assert json.loads(listed("0").stdout)
    assert (listed("1").returncode, listed("1").stdout) == (0, "")


def test_doctor_tells_versions_devices_and_decoders():
    report = json.loads(kinema("doctor", "--json").stdout)
    assert report["versions"]["kinema"]
    assert "cpu" in report["devices"]
    assert report["decoders"]["pyav"] is None
    says_how_to_install = "pip install 'kinema[timm]'" in kinema("doctor").stdout
    assert says_how_to_install == (importlib.util.find_spec("timm") is None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--patience", "soon"), "--patience: expected a number of epochs from 1, or 'off', got 'soon'"),
        (
            ("--folds", "2", "--val", "other"),
            "--folds splits the clips of DATA itself, so it takes no config and no --val",
        ),
    ],
)
def test_options_that_do_not_fit_are_named(clips, tmp_path, options, message):
    refused = kinema("train", clips.root, "--work-dir", tmp_path / "work", *options)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert message in refused.stderr
    assert not (tmp_path / "work" / "checkpoints").exists()


def test_a_config_sets_its_own_patience(tmp_path):
    (tmp_path / "config.py").write_text("train_cfg = dict(max_epochs=3)\n")
    refused = kinema("train", tmp_path / "config.py", "--patience", 3, cwd=tmp_path)
    assert "config.py: a config sets its own patience: --set train_cfg.patience=3" in refused.stderr


@pytest.mark.slow
def test_folds_are_shown_with_their_spread_and_the_interval_over_all(clips, tmp_path):
    work = tmp_path / "work"
    options = ["--folds", 2, "--epochs", 1, "--work-dir", work, "--workers", 0, "--save-every", "1steps"]
    shown = kinema("train", clips.root, *options, "--precision", "bf16", "--prepare")
    assert shown.returncode == 0, shown.stderr
    assert "prepared 16, 0 were there" in shown.stderr  # once for all folds, and not the clips of val
    assert "training     2 times, each at most 1 epoch of 4 steps of 2 clips" in shown.stderr
    assert shown.stderr.count("Before training") == 1
    assert "clips to train on" not in shown.stderr  # the guide has said it
    assert json.loads((work / "guide.json").read_text())["plan"]["folds"] == 2
    config = json.loads((work / "fold_2" / "run.json").read_text())["config"]
    assert (config["default_hooks"]["checkpoint"]["interval"], config["precision"]) == ("1steps", "bf16")
    opening = config["val_dataloader"]["dataset"]["pipeline"][0]
    assert opening == {"type": "OpenVideo", "prepared": str(tmp_path / "work_prepared")}
    for text in (
        f"kinema train {clips.root}",
        "fold",
        "spread",
        "all clips together, last epoch:",
        "of 16 clips, 95 % sure:",
    ):
        assert text in shown.stdout
    again = kinema("train", clips.root, *options, "--precision", "bf16", "--resume", "--json")
    assert json.loads(again.stdout) == json.loads((work / "folds.json").read_text())


@pytest.mark.slow
def test_clips_become_a_recognizer(clips, tmp_path):
    work = tmp_path / "work"
    trained = kinema("train", clips.root, "--epochs", 1, "--work-dir", work, "--workers", 1, "--json")
    assert trained.returncode == 0, trained.stderr
    summary = json.loads(trained.stdout)
    assert (summary["epochs"], summary["classes"]) == (1, list(clips.class_names))

    resumed = kinema("train", clips.root, "--epochs", 2, "--work-dir", work, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed from" in resumed.stderr
    assert f"kinema predict {work}" in resumed.stdout
    assert json.loads((work / "summary.json").read_text())["epochs"] == 2

    tested = kinema("test", work, clips.root, "--json")
    metrics = json.loads(tested.stdout)
    assert metrics["clips"] == len(metrics["predictions"]) == 8
    shown = kinema("test", work, clips.root, "--csv", tmp_path / "clips.csv", "--views", "2x3")
    assert "precision" in shown.stdout
    assert len((tmp_path / "clips.csv").read_text().splitlines()) == 9
    best = json.loads((work / "summary.json").read_text())["best"]
    assert metrics["acc/top1"] == pytest.approx(best["value"])

    video = clips.root / clips.val_list.read_text().split()[0]
    (prediction,) = json.loads(kinema("predict", work, video, "--json").stdout)
    assert prediction["path"] == str(video)
    assert len(prediction["labels"]) == 3
    assert "class" in kinema("predict", work, video).stdout

    some = kinema("predict", work, tmp_path / "absent.mp4", video, "--json")
    failed, good = json.loads(some.stdout)
    assert good == prediction
    assert "absent.mp4: no such file" in failed["error"]
    assert (some.returncode, some.stderr.splitlines()[-1]) == (1, f"error: {failed['error']}")


@pytest.mark.slow
def test_class_folders_train_and_hold_out_validation_clips(clips, tmp_path):
    tree = clips.root / "train"
    trained = kinema(
        "train", tree, "--epochs", 1, "--work-dir", tmp_path / "work", "--set", "train_dataloader.batch_size=3"
    )
    assert trained.returncode == 0, trained.stderr
    assert "8 (train) + 8 (val): whole source videos held out at random, seed 0" in trained.stderr
    assert "batch 3/3" in trained.stderr
    split = kinema(
        "train", clips.root / "train", "--val", clips.root / "val", "--epochs", 1, "--work-dir", tmp_path / "b"
    )
    assert split.returncode == 0, split.stderr


@pytest.mark.slow
def test_a_config_file_trains(clips, tmp_path):
    first = tmp_path / "first"
    assert kinema("train", clips.root, "--epochs", 1, "--work-dir", first).returncode == 0
    again = kinema("train", first / "config.py", "--work-dir", tmp_path / "second", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["best"] == json.loads((first / "summary.json").read_text())["best"]


def one_error_line(result, message):
    """The command failed with one line on stderr that holds `message`, after what it logged; nothing on stdout."""
    assert result.returncode == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: "), result.stderr
    assert message in last


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (None, [], "there is no such file or folder"),
        ("clip.mp4 0\nclip.mp4\n", [], "train.txt:2: expected 'path label' with a whole-number label, got 'clip.mp4'"),
        ("clip.mp4 0\nabsent.mp4 1\n", [], "absent.mp4: no such file"),
        ("absent.mp4 0\n", [], "train.txt:1: the clip 'absent.mp4' is not there"),
        ("clip.mp4 0\nempty.mp4 1\n", [], "empty.mp4"),
        ("clip.mp4 0\ntext.mp4 1\n", [], "text.mp4"),
        (
            "clip.mp4 0\nclip.mp4 7\n",
            [],
            "train.txt:2: label 7 of 'clip.mp4' is out of range: expected 0 to 1 (2 classes)",
        ),
        ("clip.mp4 0\nclip.mp4 1\n", ["--model", "compact3"], "no model is called 'compact3': did you mean compact3d?"),
        (
            "clip.mp4 0\nclip.mp4 1\n",
            ["--set", "model.cls_head.num_classes=5"],
            "data has 2 classes, the model's head 5",
        ),
        (
            "clip.mp4 0\nclip.mp4 1\n",
            ["--set", "model.cls_head.type=I3Dhead"],
            "I3Dhead is not in the model registry: did you mean I3DHead",
        ),
        ("clip.mp4 0\nclip.mp4 1\n", ["--set", "model.cls_head.drop=0.5"], "I3DHead has no keyword 'drop'"),
        ("clip.mp4 0\nclip.mp4 1\n", ["--set", "nothing.like=3"], "cannot set nothing.like: there is no 'nothing'"),
        (
            "clip.mp4 0\nclip.mp4 1\n",
            ["--set", "model.cls_head.dropout_ratio=x"],
            "dropout_ratio must be a number, got 'x'",
        ),
        ("clip.mp4 0\nclip.mp4 1\n", ["--device", "gpu"], "the device 'gpu' cannot be used here"),
    ],
)
def test_wrong_training_input_is_one_line(tmp_path, make_video, lines, options, message):
    make_video(tmp_path / "clip.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "classes.txt").write_text("one\ntwo\n")
    if lines is not None:
        (tmp_path / "train.txt").write_text(lines)
        (tmp_path / "val.txt").write_text("clip.mp4 0\nclip.mp4 1\n")
    work = tmp_path / "work"
    one_error_line(kinema("train", tmp_path / "train.txt", "--epochs", 1, "--work-dir", work, *options), message)


def test_wrong_checkpoints_and_videos_are_one_line(tmp_path):
    one_error_line(kinema("predict", tmp_path, "a.mp4"), "no checkpoint here: expected a folder with config.json")
    one_error_line(kinema("test", tmp_path / "absent", tmp_path), "absent: there is no such file or folder")
    (tmp_path / "config.py").write_text("model = dict(\n")
    one_error_line(kinema("train", tmp_path / "config.py"), "config.py:1")


@pytest.mark.slow
def test_going_on_with_other_data_is_told_or_refused(clips, tmp_path, make_video):
    work = tmp_path / "my work"
    options = ["--epochs", 1, "--workers", 0, "--batch-size", 8, "--work-dir", work]
    first = kinema("train", clips.root, *options)
    assert f"kinema predict '{work}' {clips.root}" in first.stdout
    same = kinema("train", clips.root, *options, "--resume")
    assert "going on with other settings" not in same.stderr
    other = kinema("train", clips.root, *options, "--resume", "--seed", 3)
    assert "going on with other settings than the run began with: randomness.seed 0 -> 3" in other.stderr
    for name in ("a/1.mp4", "a/2.mp4", "b/1.mp4"):
        make_video(tmp_path / "few" / name, num_frames=4)
    one_error_line(kinema("train", tmp_path / "few", *options, "--resume"), "resume with the same data, or choose")


@pytest.mark.slow
def test_options_win_over_a_config_or_are_refused(clips, tmp_path):
    options = ["--epochs", 1, "--workers", 0, "--batch-size", 8]
    kinema("train", clips.root, *options, "--work-dir", tmp_path / "work")
    config = tmp_path / "work" / "config.py"
    one_error_line(kinema("train", config, "--val", clips.root), "a config names its own clips, model and weights")
    one_error_line(kinema("train", config, "--work-dir", config), "is a file: the work folder must be a folder")
    again = kinema("train", config, "--seed", 5, "--device", "cpu", "--work-dir", tmp_path / "again", "--json")
    summary = json.loads(again.stdout)
    assert (summary["seed"], summary["device"]) == (5, "cpu")


def test_a_folder_that_cannot_be_made_is_named(clips, tmp_path):
    (tmp_path / "file").touch()
    result = kinema("train", clips.root, "--work-dir", tmp_path / "file" / "work")
    one_error_line(result, f"error: {tmp_path / 'file' / 'work'}: Not a directory")


def test_tables_keep_a_row_a_line_where_a_program_reads_them(capsys):
    print_table("", ["video", "class"], [["x" * 300, "waving"]])
    assert any("x" * 300 in line and "waving" in line for line in capsys.readouterr().out.splitlines())


def test_traceback_is_shown_when_asked_for(tmp_path):
    result = kinema("predict", tmp_path, "a.mp4", "--traceback")
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_an_error_of_code_of_the_user_keeps_its_type_and_says_how_to_see_the_place(tmp_path):
    """A bare text would seem to come from Kinema."""
    module = tmp_path / "user.py"
    module.write_text("def label_of(name):\n    raise ValueError('no label in a.mp4')\n")
    with pytest.raises(ValueError, match="no label") as raised:
        runpy.run_path(str(module))["label_of"]("a")
    assert _one_line(raised.value) == "error: ValueError: no label in a.mp4 (--traceback shows where)"


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EACCES, ": see to this user's rights there, or choose another place"),
        (errno.EROFS, ": nothing can be written there: choose another place"),
        (errno.ENOSPC, ": free some room, or choose another place"),
        (errno.EISDIR, ": expected a file: move the folder away, or choose another place"),
        (errno.EIO, ""),
    ],
)
def test_an_error_of_a_file_says_what_to_do(number, cure):
    text = os.strerror(number)
    assert _one_line(OSError(number, text, "out.csv")) == f"error: out.csv: {text}{cure}"
