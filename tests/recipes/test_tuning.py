import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from kinema.checkpoints.contract import ModelContract
from kinema.checkpoints.saving import check_mark, save_checkpoint
from kinema.cli.main import app
from kinema.errors import CheckpointError, DumpError
from kinema.evaluation import ClipScores, ScoreDump, calibrate, calibrated, class_thresholds, write_dump
from kinema.inference import load
from kinema.models import create_model, zoo
from kinema.recipes.tuning import is_score_file, parse_goal, tune, tune_after_training
from kinema.runs.settings_file import write_settings

CLASSES = ("fight", "walk", "fall")
SAMPLING = [dict(type="SampleFrames", clip_len=2, frame_interval=1, num_clips=1, test_mode=True)]
PREPROCESSING = [dict(type="Resize", scale=(32, 32)), dict(type="FormatShape", input_format="NCTHW")]


def saved(work, *, multi_label=False, **changes):
    torch.manual_seed(0)
    model = create_model("compact3d", num_classes=3)
    config = zoo.model_config("compact3d", 3)
    config["cls_head"] = {**config["cls_head"], "multi_class": multi_label}
    contract = ModelContract(
        model=config, classes=CLASSES, sampling=SAMPLING, preprocessing=[*PREPROCESSING, dict(type="PackActionInputs")]
    )
    folder = work / "checkpoints" / "step_00000001"
    save_checkpoint(folder, model.state_dict(), config=replace(contract, **changes), training={"a": 1})
    (work / "checkpoints" / "last").write_text("step_00000001\n")
    return folder


def dumped(path, *, seed=0, sharpness=3.0, temperature=None, classes=CLASSES, count=90):
    """Scores that are too sure, of clips of which three are from one video."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(count, 3)) * 1.5
    truth = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(3, p=row) for row in truth])
    scores = np.exp(z * sharpness) / np.exp(z * sharpness).sum(axis=1, keepdims=True)
    paths = tuple(f"video_{place // 3}_clip{place % 3}.mp4" for place in range(count))
    clips = ClipScores(paths, labels, scores.astype(np.float32), classes)
    write_dump(path, ScoreDump(clips, source="made clips", temperature=temperature))
    return clips


@pytest.fixture
def clips(tmp_path, make_video):
    """Clips of three classes, one of which cannot be read, as the validation clips of a run."""
    (tmp_path / "clips").mkdir()
    lines = []
    for place in range(21):
        make_video(tmp_path / "clips" / f"{place}.mp4", num_frames=3, size=(32, 32))
        lines.append(f"{place}.mp4 {place % 3}")
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"broken")
    (tmp_path / "val.txt").write_text("\n".join([*lines, "broken.mp4 1"]) + "\n")
    return {"ann_file": str(tmp_path / "val.txt"), "data_prefix": {"video": str(tmp_path / "clips")}}


@pytest.mark.parametrize("suffix", [".npz", ".json", ".pkl"])
def test_a_file_of_scores_tunes_a_checkpoint_which_stays_whole(tmp_path, suffix):
    folder = saved(tmp_path)
    weights = (folder / "model.safetensors").read_bytes()
    file = tmp_path / f"scores{suffix}"
    clips = dumped(file)
    tuning = tune(tmp_path, file, goal="precision=0.6")
    sources = [path.rpartition("_")[0] for path in clips.paths]
    expected = calibrate(clips.scores, clips.labels, sources)
    assert tuning.temperature == pytest.approx(expected.temperature)
    assert tuning.temperature == pytest.approx(3, rel=0.35)
    assert (tuning.calibration.folds, tuning.num_clips, tuning.num_sources, tuning.note) == (5, 90, 30, "")
    chosen = class_thresholds(calibrated(clips.scores, tuning.temperature), clips.labels, CLASSES, least_precision=0.6)
    assert tuning.thresholds == pytest.approx({one.name: one.threshold for one in chosen})
    contract = ModelContract.read(folder)
    assert (contract.thresholds, contract.temperature) == (tuning.thresholds, tuning.temperature)
    check_mark(folder)
    assert (folder / "model.safetensors").read_bytes() == weights
    assert (folder / "training.pt").is_file()
    assert [entry.name for entry in folder.parent.iterdir() if entry.name.startswith(".")] == []
    recognizer = load(tmp_path)
    assert (recognizer.thresholds, recognizer.temperature) == (tuning.thresholds, tuning.temperature)
    json.dumps(tuning.to_dict(), allow_nan=False)


def test_tuning_a_tuned_checkpoint_again_gives_the_same(tmp_path):
    saved(tmp_path)
    clips = dumped(tmp_path / "scores.npz")
    first = tune(tmp_path, tmp_path / "scores.npz")
    spoilt = ClipScores(clips.paths, clips.labels, calibrated(clips.scores, first.temperature), CLASSES)
    write_dump(tmp_path / "again.npz", ScoreDump(spoilt, source="made clips", temperature=first.temperature))
    again = tune(tmp_path, tmp_path / "again.npz")
    assert again.temperature == pytest.approx(first.temperature, rel=1e-3)
    assert again.thresholds == pytest.approx(first.thresholds, abs=1e-4)
    kept = tune(tmp_path, tmp_path / "scores.npz", calibration=False)
    assert (kept.temperature, kept.calibration) == (again.temperature, None)
    assert kept.thresholds == pytest.approx(first.thresholds, abs=1e-4)


def test_a_temperature_that_helps_no_other_clips_is_not_taken(tmp_path):
    folder = saved(tmp_path)
    dumped(tmp_path / "scores.npz", sharpness=1.0, seed=4, count=60)
    tuning = tune(tmp_path, tmp_path / "scores.npz")
    assert tuning.note.startswith("it does not help clips that it was not fitted to: their loss is ")
    assert (tuning.temperature, ModelContract.read(folder).temperature) == (None, None)
    result = CliRunner().invoke(app, ["tune", str(tmp_path), str(tmp_path / "scores.npz")])
    assert "Temperature: none: it does not help clips" in result.output


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_command_tunes_on_the_validation_clips_of_the_run(tmp_path, clips, multi_label):
    folder = saved(tmp_path, multi_label=multi_label)
    if multi_label:
        lines = (tmp_path / "val.txt").read_text().splitlines()
        (tmp_path / "val.txt").write_text(
            "".join(f"{line} 2\n" if line.endswith(" 0") else f"{line}\n" for line in lines)
        )
        clips |= {"multi_class": True, "num_classes": 3}
    loader = {"batch_size": 4, "dataset": {"type": "VideoDataset", **clips, "pipeline": []}}
    write_settings(tmp_path, {"val_dataloader": loader})
    result = CliRunner().invoke(app, ["tune", str(folder), "--workers", "0", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "21 clips of the validation clips of" in result.stdout
    assert "Written into" in result.stdout
    assert "1 clips could not be read" in result.stderr
    result = CliRunner().invoke(app, ["tune", str(tmp_path), "--workers", "0", "--json"])
    value = json.loads(result.stdout)
    assert [one["clips"] for one in value["classes"]] == [7, 7, 14 if multi_label else 7]
    assert value["failed"] == 1
    assert set(value["classes"][0]["held_out"]) == {"precision", "recall", "f1"}
    assert tune_after_training(tmp_path, workers=0).thresholds == load(folder).thresholds


def test_the_clips_of_a_run_are_relative_to_where_it_was_started(tmp_path, clips, monkeypatch):
    saved(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    dataset = {"type": "VideoDataset", "ann_file": "val.txt", "data_prefix": {"video": "clips"}, "pipeline": []}
    monkeypatch.chdir(tmp_path)
    started = {"folder": str(tmp_path)}
    write_settings(tmp_path, {"val_dataloader": {"batch_size": 4, "dataset": dataset}}, started)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert tune(tmp_path, workers=0).num_clips == 21


def test_after_a_training_nothing_is_an_error(tmp_path, caplog):
    caplog.set_level("INFO", "kinema")
    write_settings(tmp_path, {"val_dataloader": None})
    assert tune_after_training(tmp_path) is None
    write_settings(tmp_path, {"val_dataloader": {"dataset": {}}})
    assert tune_after_training(tmp_path) is None
    assert "no thresholds: the run has no validation clips" in caplog.text
    assert f"no thresholds: {tmp_path}: " in caplog.text


def test_what_cannot_be_tuned_is_named(tmp_path):
    folder = saved(tmp_path)
    with pytest.raises(CheckpointError, match=r"there is no run with validation clips around it: name labelled clips"):
        tune(tmp_path)
    dumped(tmp_path / "other.npz", classes=("a", "b", "c"))
    with pytest.raises(DumpError, match="made clips: these scores are of other classes than those of"):
        tune(tmp_path, tmp_path / "other.npz")
    few = dumped(tmp_path / "few.npz", count=9)
    tuning = tune(tmp_path, tmp_path / "few.npz")
    assert (tuning.note, tuning.temperature) == ("there are only 9 clips, fewer than 20", None)
    raw = ClipScores(few.paths, few.labels, few.scores * 10 - 5, CLASSES)
    write_dump(tmp_path / "raw.npz", ScoreDump(raw))
    with pytest.raises(
        CheckpointError, match="scores that are no probabilities, .* no temperature either: there are only"
    ):
        tune(tmp_path, tmp_path / "raw.npz")
    saved(tmp_path, classes=("a", "b", "a"))
    dumped(tmp_path / "twice.npz", classes=("a", "b", "a"))
    with pytest.raises(CheckpointError, match="two of its classes are called 'a'"):
        tune(folder, tmp_path / "twice.npz")


def test_goals_and_files_of_scores_are_known(tmp_path):
    assert parse_goal("f1") is None
    assert parse_goal("precision=0.9") == 0.9
    for text in ("precision=0", "precision=1.5", "recall=0.5", "precision=90%"):
        with pytest.raises(ValueError, match=r"the goal must be f1, or precision=P .*; got"):
            parse_goal(text)
    result = CliRunner().invoke(app, ["tune", str(tmp_path), "--for", "recall"])
    assert result.exit_code == 2
    assert "the goal must be f1" in result.output.replace("\n", " ")
    (tmp_path / "a.json").write_text('{"labels": []}')
    (tmp_path / "a.txt").write_text("pred_score")
    assert not any(is_score_file(tmp_path / name) for name in ("a.json", "a.txt", "absent.npz"))
