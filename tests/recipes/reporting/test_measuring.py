"""Scores as a report needs them, and what it makes of them."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinema.datasets.annotations import read_split
from kinema.evaluation.calibration import calibrated
from kinema.evaluation.functional import mean_average_precision
from kinema.inference import VideoRecognizer, load
from kinema.recipes import evaluate
from kinema.recipes.reporting import Measured, measure, report_models
from kinema.recipes.reporting.measuring import in_order_of, same_clips
from kinema.recipes.reporting.run_files import clips_of_run, run_files, settings_with_origins, shown_command
from kinema.recipes.reporting.scores import calibration_figures, reliability
from kinema.recipes.reporting.sections import baselines
from kinema.registry import MODELS
from kinema.runs.settings_file import read_run


@pytest.fixture(scope="module")
def measured(small_run: Path) -> Measured:
    """Scores of the run's validation clips."""
    return measure(load(small_run), clips_of_run(run_files(str(_checkpoint(small_run))), "val"), name="run", workers=0)


def _checkpoint(work_dir: Path) -> Path:
    return work_dir / "checkpoints" / "step_00000004"


def test_the_scores_are_those_of_the_evaluation(small_run: Path, measured: Measured) -> None:
    split = read_split(small_run.parent / "data" / "val.txt")
    clips = evaluate(load(small_run), split, workers=0).clips
    assert clips is not None
    assert np.array_equal(clips.labels, measured.labels)
    assert clips.scores == pytest.approx(measured.scores)
    assert measured.names_of(0) == measured.classes[int(measured.labels[0])]
    assert baselines(measured, None) == {"chance": 1 / 8, "majority": 2 / 16}


def test_clips_of_two_models_are_matched_by_their_paths(measured: Measured) -> None:
    turned = Measured(
        "b",
        measured.classes,
        measured.split,
        measured.places[::-1][:5],
        measured.labels[::-1][:5],
        measured.scores[::-1][:5],
    )
    first, second = same_clips(measured, turned)
    assert [measured.paths[place] for place in first] == [turned.paths[place] for place in second]
    assert len(first) == 5


def test_classes_in_another_order_are_brought_into_that_of_the_first_model(measured: Measured) -> None:
    back = measured.classes[::-1]
    turned = in_order_of(back, measured)
    assert [turned.names_of(place) for place in range(16)] == [measured.names_of(place) for place in range(16)]
    assert np.array_equal(turned.scores, measured.scores[:, ::-1])
    with pytest.raises(ValueError, match="run knows other classes than the first model"):
        in_order_of(("a", *measured.classes[1:]), measured)


def test_a_temperature_of_the_checkpoint_is_compared_with_none(measured: Measured) -> None:
    warm = Measured(
        "b", measured.classes, measured.split, measured.places, measured.labels, calibrated(measured.scores, 3.0)
    )
    before, after = calibration_figures(reliability(measured, None)), calibration_figures(reliability(warm, 3.0))
    assert after["ece_before"] == pytest.approx(before["ece_before"], abs=1e-5)
    assert after["ece_after"] != pytest.approx(after["ece_before"], abs=1e-3)
    assert (after["temperature"], after["temperature_of_model"]) == (3.0, True)


def test_a_run_says_how_its_clips_are_found_and_what_set_a_value(small_run: Path) -> None:
    run = run_files(str(_checkpoint(small_run)))
    assert len(clips_of_run(run, "train").annotations) == 16
    assert shown_command(run) == "kinema train data --set train_cfg.max_epochs=2"
    origins = {setting.key: setting.origin for setting in settings_with_origins(run)}
    assert origins["train_cfg.max_epochs"] == "command line"
    assert origins["model.type"] == "recipe"
    places = {"model.type": f"{Path.cwd()}/own.py:3", "train_cfg.max_epochs": "own.py:9"}
    of_file = replace(run, settings={**run.settings, "origins": places, "folder": str(Path.cwd())})
    origins = {setting.key: setting.origin for setting in settings_with_origins(of_file)}
    assert (origins["model.type"], origins["train_cfg.max_epochs"]) == ("own.py:3", "command line")


@pytest.fixture(scope="module")
def several(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder whose model knows several classes a clip."""
    source = load(small_run)
    work_dir = tmp_path_factory.mktemp("several") / "run"
    config = {**source.config["model"], "cls_head": {**source.config["model"]["cls_head"], "multi_class": True}}
    recognizer = VideoRecognizer(MODELS.build(config), source.classes, source.pipeline)
    recognizer.model.load_state_dict(source.model.state_dict())
    recognizer.contract = source.contract.__class__(model=config, classes=source.classes)
    recognizer.save_pretrained(_checkpoint(work_dir))
    (work_dir / "checkpoints" / "best").write_text("step_00000004\n")
    split = read_split(small_run.parent / "data" / "val.txt")
    with (work_dir / "val.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for number, record in enumerate(split.annotations):
            names = {source.classes[record.labels[0]], source.classes[number % 3]}
            rows.writerow([str(split.video_root / record.path), "|".join(sorted(names))])
    settings: dict[str, Any] = {**(read_run(small_run) or {})}
    settings["config"] = json.loads(json.dumps(settings["config"]))
    settings["config"]["val_dataloader"]["dataset"] = {
        "type": "VideoDataset",
        "ann_file": str(work_dir / "val.csv"),
        "multi_class": True,
        "metainfo": {"classes": list(source.classes)},
    }
    (work_dir / "run.json").write_text(json.dumps(settings))
    return work_dir


def test_of_several_labels_a_clip_average_precision_stands_in_for_confusions(several: Path, tmp_path: Path) -> None:
    written = report_models(several, out=tmp_path / "a.html", workers=0, shown_clips=2)
    measured = measure(load(several), clips_of_run(run_files(str(_checkpoint(several))), "val"), name="b", workers=0)
    assert measured.labels.shape == measured.scores.shape == (16, 8)
    assert measured.labels.sum() > 16
    expected = mean_average_precision(measured.scores, measured.labels)
    assert written.figures["acc/mean_average_precision"] == pytest.approx(expected)
    low, high = written.figures["intervals"]["acc/mean_average_precision"]
    assert low <= expected <= high
    again = report_models(several, several / "val.csv", out=tmp_path / "b.html", workers=0, shown_clips=0, quick=True)
    assert again.figures["acc/mean_average_precision"] == written.figures["acc/mean_average_precision"]
    page = written.path.read_text()
    assert "mean average precision" in page
    assert 'id="confusion"' not in page
    assert "Most wrong" in page
