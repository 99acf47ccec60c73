import json
from pathlib import Path

import pytest
import torch

from kinema.datasets.annotations import read_split, split_by_group, write_list
from kinema.datasets.synthetic import make_motion_dataset
from kinema.engine import Runner
from kinema.errors import AnnotationError, ConfigError
from kinema.inference import load
from kinema.models import zoo
from kinema.recipes import classification, cross_validate, evaluate, evaluation_clips
from kinema.recipes.motion import frames_in_order
from kinema.registry import DATASETS, MODELS
from kinema.runs.settings_file import as_data


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return make_motion_dataset(tmp_path_factory.mktemp("clips"), num_train=16, num_val=8, num_frames=24, size=(32, 32))


def test_the_config_follows_the_clips(clips, tmp_path):
    config = classification(clips.root, work_dir=tmp_path, workers=0)
    assert config.model.cls_head.num_classes == 8
    assert config.train_dataloader.dataset.metainfo.classes == list(clips.class_names)
    sampling = config.val_dataloader.dataset.pipeline[1]
    assert (sampling.clip_len, sampling.frame_interval, sampling.test_mode) == (8, 3, True)
    whole = classification(clips.root, model="tsn_r18", work_dir=tmp_path, workers=0).val_dataloader.dataset.metainfo
    assert config.val_dataloader.dataset.metainfo.clip_seconds == whole.clip_seconds == 2.4
    types = [step.type for step in config.train_dataloader.dataset.pipeline]
    assert "RandomCrop" in types
    assert "Flip" not in types  # it would swap left and right
    assert config.train_dataloader.batch_size == 2
    assert config.train_cfg.max_epochs == 60


def test_a_network_of_frames_gets_them_from_all_of_the_video(clips, tmp_path):
    config = classification(clips.root, model="tsm_mobilenetv2", work_dir=tmp_path, workers=0)
    sample = DATASETS.build(config.val_dataloader.dataset)[0]
    assert sample["inputs"].shape == (8, 3, 224, 224)
    assert not torch.equal(sample["inputs"][0], sample["inputs"][-1])
    model = MODELS.build(config.model)
    assert model.train_step({"inputs": [sample["inputs"]], "data_samples": [sample["data_samples"]]})["loss_cls"] > 0


def paths_of(config, part):
    """Paths of the clips that a loader reads."""
    dataset = DATASETS.build(config[f"{part}_dataloader"]["dataset"])
    return [dataset.get_data_info(index)["filename"] for index in range(len(dataset))]


def test_validation_clips_are_held_out_by_a_description(clips, tmp_path):
    config = classification(clips.root / "train", work_dir=tmp_path / "work", workers=0, batch_size=4, epochs=3)
    assert config.train_dataloader.dataset.hold_out == {"part": "train", "fraction": 0.2, "by": "source", "seed": 0}
    assert config.val_dataloader.dataset.hold_out == {"part": "val", "fraction": 0.2, "by": "source", "seed": 0}
    train, val = (paths_of(config, part) for part in ("train", "val"))
    assert (len(train), len(val), len({*train, *val})) == (8, 8, 16)
    assert (config.train_dataloader.batch_size, config.train_cfg.max_epochs) == (4, 3)
    assert list(tmp_path.iterdir()) == []  # a recipe writes nothing


def test_labels_without_names_are_counted(tmp_path, make_video):
    make_video(tmp_path / "a.mp4", num_frames=4)
    (tmp_path / "train.txt").write_text("a.mp4 0\na.mp4 2\n")
    config = classification(tmp_path / "train.txt", val=tmp_path / "train.txt", work_dir=tmp_path, workers=0)
    assert config.train_dataloader.dataset.metainfo.classes == ["0", "1", "2"]


def test_impossible_data_is_named(tmp_path, make_video, clips):
    make_video(tmp_path / "a.mp4", num_frames=4)
    (tmp_path / "train.txt").write_text("a.mp4 0\na.mp4 1\n")
    with pytest.raises(
        AnnotationError,
        match="no class has clips of two source videos, so none can be held out for validation: give --val",
    ):
        classification(tmp_path / "train.txt", work_dir=tmp_path)
    (tmp_path / "train.txt").write_text("a.mp4\n")
    with pytest.raises(AnnotationError, match=r"the clips have no labels: .* a column `label` \(--columns label=NAME"):
        classification(tmp_path / "train.txt", work_dir=tmp_path)
    (tmp_path / "train.txt").write_text("a 10 0\nb 10 1\n")
    for name in "ab":
        (tmp_path / name).mkdir()
    with pytest.raises(AnnotationError, match="lists folders of frames, on which a config with RawframeDataset trains"):
        classification(tmp_path / "train.txt", work_dir=tmp_path)
    with pytest.raises(ConfigError, match="no model is called 'resnet'"):
        classification(clips.root, model="resnet", work_dir=tmp_path)


def test_labels_that_are_no_class_indices_are_named(tmp_path, make_video):
    make_video(tmp_path / "a.mp4", num_frames=4)
    (tmp_path / "train.txt").write_text("a.mp4 0\na.mp4 -1\n")
    with pytest.raises(AnnotationError, match=r"train\.txt:2: label -1 of 'a\.mp4' is out of range"):
        classification(tmp_path / "train.txt", work_dir=tmp_path)
    (tmp_path / "train.txt").write_text("a.mp4 0\na.mp4 20260101120000\n")
    with pytest.raises(AnnotationError, match="the largest label is 20260101120000: expected class indices"):
        classification(tmp_path / "train.txt", work_dir=tmp_path)


def test_classes_without_training_clips_are_told(tmp_path, make_video, caplog):
    make_video(tmp_path / "a.mp4", num_frames=4)
    (tmp_path / "train.txt").write_text("a.mp4 1\na.mp4 3\n")
    (tmp_path / "val.txt").write_text("a.mp4 2\n")
    classification(tmp_path, work_dir=tmp_path / "work", workers=0)
    assert "2 of 4 classes have no training clip: 0, 2" in caplog.text


def test_one_class_is_refused_with_the_layout_that_was_found(tmp_path, make_video):
    make_video(tmp_path / "clips" / "videos" / "a.mp4", num_frames=4)
    message = (
        r"clips/CLASS/\*\.mp4: 1 clip, 1 class: all training clips are of one class, 'videos', so there is nothing to"
        r" tell apart: "
        r"expected one folder a class \(root/CLASS/\*\.mp4\), both splits"
    )
    with pytest.raises(AnnotationError, match=message):
        classification(tmp_path / "clips", work_dir=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_the_layout_is_said_in_one_line(clips, tmp_path, caplog):
    caplog.set_level("INFO", "kinema")
    classification(clips.root, work_dir=tmp_path, workers=0)
    assert f"{clips.root / 'train.txt'}: 16 clips, {clips.root / 'val.txt'}: 8 clips, 8 classes" in caplog.text


def test_splits_that_name_other_classes_do_not_go_together(tmp_path, make_video):
    for name, classes in (("old", "wave\nclap\n"), ("new", "clap\nwave\njump\n")):
        make_video(tmp_path / name / "a.mp4", num_frames=4)
        (tmp_path / name / "classes.txt").write_text(classes)
        (tmp_path / name / "list.txt").write_text("a.mp4 0\n")
    message = r"list\.txt: class 0 is 'clap' by the classes\.txt beside it, but 'wave' in training: bring its labels"
    with pytest.raises(AnnotationError, match=message):
        classification(tmp_path / "old" / "list.txt", val=tmp_path / "new" / "list.txt", work_dir=tmp_path)
    with pytest.raises(AnnotationError, match=message):
        evaluation_clips(tmp_path / "new" / "list.txt", ["wave", "clap"])
    with pytest.raises(AnnotationError, match="class 2 is 'jump' by .* but nothing in training"):
        evaluation_clips(tmp_path / "new" / "list.txt", ["clap", "wave"])
    assert evaluation_clips(tmp_path / "new" / "list.txt", ["0", "1", "2"])  # the training named none


def test_a_trained_recognizer_is_measured_as_in_training(clips, tmp_path):
    runner = Runner.from_cfg(classification(clips.root, work_dir=tmp_path, epochs=1, workers=0))
    runner.train()
    recognizer = load(tmp_path)
    assert recognizer.contract.clip_seconds == 2.4
    split = evaluation_clips(clips.root, recognizer.classes)
    assert split.path == clips.val_list
    evaluation = evaluate(recognizer, split, metrics=[dict(type="AccMetric"), dict(type="ConfusionMatrix")], workers=0)
    assert (evaluation.num_clips, evaluation.failed) == (8, ())
    metrics = evaluation.metrics
    assert metrics["acc/top1"] == pytest.approx(runner.best["value"])
    assert int(metrics["confusion_matrix/result"].sum()) == 8
    one_frame = frames_in_order(recognizer, "one_frame")
    static = evaluate(recognizer, split, change_pipeline=one_frame, workers=0).metrics
    assert set(static) == {"acc/top1", "acc/top5", "acc/mean1"}


def test_evaluation_needs_labelled_clips_of_known_classes(clips, tmp_path):
    with pytest.raises(AnnotationError, match="is none of the 1 classes: jump"):
        evaluation_clips(clips.root / "val", ["jump"])
    assert evaluation_clips(clips.val_list, clips.class_names).path == clips.val_list
    (tmp_path / "only" / "train" / "a").mkdir(parents=True)
    (tmp_path / "only" / "train" / "a" / "x.mp4").touch()
    with pytest.raises(AnnotationError, match="holds training clips but no validation clips"):
        evaluation_clips(tmp_path / "only", ["a"])
    unlabelled = tmp_path / "list.txt"
    unlabelled.write_text(f"{clips.root / 'val' / 'growing' / 'growing_0000.mp4'}\n")
    with pytest.raises(AnnotationError, match="has no label: evaluation needs 'path label' lines"):
        evaluate(object.__new__(_NoModel), read_split(unlabelled))


class _NoModel:
    """A recognizer that is not reached: the labels are checked before."""

    pipeline = ()
    classes = ()


def test_weights_to_start_from_are_named_in_the_config(clips, tmp_path):
    config = classification(clips.root, model="x3d_s", pretrained="published", work_dir=tmp_path / "work")
    assert config["load_from"] == zoo.card("x3d_s").weights.url
    assert classification(clips.root, pretrained="best.pth", work_dir=tmp_path / "work")["load_from"] == "best.pth"
    with pytest.raises(ConfigError, match="compact3d: nobody published weights of it"):
        classification(clips.root, pretrained="published", work_dir=tmp_path / "work")


def test_training_says_what_is_wrong_with_the_data_and_how_much_its_figures_can_tell(tmp_path, make_video, caplog):
    clip = make_video(tmp_path / "v_run_g01_c01.mp4", num_frames=4)
    for name in ("v_run_g01_c02", "v_run_g02_c01", "v_hop_g03_c01"):
        (tmp_path / f"{name}.mp4").hardlink_to(clip)
    (tmp_path / "train.txt").write_text("v_run_g01_c01.mp4 0\n" * 12 + "v_hop_g03_c01.mp4 1\n")
    (tmp_path / "val.txt").write_text("v_run_g01_c02.mp4 0\nv_run_g02_c01.mp4 0\nv_hop_g03_c01.mp4 1\n")
    config = classification(tmp_path, work_dir=tmp_path / "work", workers=0)
    expected = (
        "train: 11 clips listed again: a clip counts as often as it is listed",
        "the largest class has 12 times the clips of the smallest",
        (
            "val: 3 clips, 1 of the smallest class '1': an accuracy of 80 % on so few is known to about 45 points up or"
            " down"
        ),
        "1 video in train and in val: accuracy on val will be too good (v_hop_g03_c01.mp4)",
        "1 source video with clips in train and in val, by the clips' names",
    )
    (hook,) = config.custom_hooks
    for text in expected:
        assert text in caplog.text
        assert any(text in sentence for sentence in hook.notes["data"]["warnings"])
    assert (hook.notes["data"]["train_clips"], hook.notes["data"]["val_clips"]) == (13, 3)


def test_a_run_from_clips_smooths_its_best_and_stops_when_it_is_flat_and_a_config_does_neither(clips, tmp_path):
    config = classification(clips.root, work_dir=tmp_path, workers=0)
    assert config.default_hooks.checkpoint.smooth == 3
    assert (config.train_cfg.max_epochs, config.train_cfg.patience) == (60, 20)
    assert classification(clips.root, work_dir=tmp_path, epochs=12).train_cfg.patience == 10
    assert classification(clips.root, work_dir=tmp_path, patience="off").train_cfg.patience is None
    assert classification(clips.root, work_dir=tmp_path, patience=4).train_cfg.patience == 4


def test_folds_validate_on_every_clip_once_and_keep_source_videos_together(tmp_path, make_video):
    clip = make_video(tmp_path / "clips" / "v_a_g00_c00.mp4", num_frames=4)
    lines = []
    for source in range(9):
        for number in range(2):
            name = f"v_a_g{source:02}_c{number:02}.mp4"
            if not (tmp_path / "clips" / name).exists():
                (tmp_path / "clips" / name).hardlink_to(clip)
            lines.append(f"{name} {source % 3}\n")
    (tmp_path / "clips" / "all.txt").write_text("".join(lines))
    split = read_split(tmp_path / "clips" / "all.txt")
    validated = []
    for number in (1, 2, 3):
        config = classification(tmp_path / "clips" / "all.txt", fold=(number, 3), seed=5, workers=0)
        train, val = (paths_of(config, part) for part in ("train", "val"))
        assert len(train) == 12
        assert len(val) == 6
        assert not {path.rpartition("_")[0] for path in train} & {path.rpartition("_")[0] for path in val}
        dataset = DATASETS.build(config.val_dataloader.dataset)
        assert sorted(dataset.label_column().values) == [0, 0, 1, 1, 2, 2]  # about class by class
        validated += val
    assert sorted(validated) == sorted(str(split.video_root / path) for path in split.annotations.paths)
    with pytest.raises(ValueError, match="expected a fold from 1 to a number of folds of 2 or more, got 4 of 3"):
        classification(tmp_path / "clips" / "all.txt", fold=(4, 3))
    with pytest.raises(
        AnnotationError, match=r"18 clips of 9 source videos cannot be put into 10 parts: take fewer folds"
    ):
        classification(tmp_path / "clips" / "all.txt", fold=(1, 10))


def test_cross_validation_pools_all_folds(clips, tmp_path):
    settings = {"folds": 2, "work_dir": tmp_path, "workers": 0, "epochs": 1, "batch_size": 8}
    found = cross_validate(clips.root / "train.txt", **settings)
    assert [row["clips"] for row in found["folds"]] == [8, 8]
    last = found["last"]
    assert last["num_clips"] == 16
    assert last["value"] == pytest.approx(last["mean"])  # folds of one size
    assert last["interval"][0] <= last["value"] <= last["interval"][1]
    assert json.loads((tmp_path / "folds.json").read_text()) == found
    written = (tmp_path / "fold_1" / "checkpoints" / "last").stat().st_mtime_ns
    assert cross_validate(clips.root / "train.txt", **settings, resume=True) == found
    assert (tmp_path / "fold_1" / "checkpoints" / "last").stat().st_mtime_ns == written  # complete runs are left alone
    with pytest.raises(ValueError, match="cross-validation needs 2 folds or more, got 1"):
        cross_validate(clips.root, folds=1, work_dir=tmp_path)


def test_a_resumed_run_holds_out_the_same_clips_whatever_the_seed(clips, tmp_path):
    root = clips.root / "train"
    first = classification(root, work_dir=tmp_path / "work", seed=0, workers=0)
    resumed = classification(root, work_dir=tmp_path / "work", seed=1, workers=0, resumed=as_data(first))
    for part in ("train", "val"):
        assert paths_of(resumed, part) == paths_of(first, part)
    assert resumed.val_dataloader.dataset == first.val_dataloader.dataset
    assert paths_of(classification(root, seed=1, workers=0), "val") != paths_of(first, "val")
    assert not (tmp_path / "work").exists()
    damaged = {"val_dataloader": {"dataset": {"hold_out": {"part": "val", "seeed": 1}}}}
    with pytest.raises(ConfigError, match=r"run\.json: the hold-out of the run to resume is none: .*seeed"):
        classification(root, resumed=damaged)


def test_a_resumed_run_of_an_earlier_version_keeps_its_lists(clips, tmp_path, caplog):
    root = clips.root / "train"
    split = read_split(root)
    train, val = split_by_group(split.annotations, seed=7)
    for name, part in (("train", train), ("val", val)):
        write_list(tmp_path / "data" / f"{name}.txt", part, split.video_root)
    resumed = classification(root, work_dir=tmp_path, workers=0, resumed={})
    assert resumed.val_dataloader.dataset.ann_file == str(tmp_path / "data" / "val.txt")
    assert [Path(path).name for path in paths_of(resumed, "val")] == [Path(path).name for path in val.paths]
    assert "only in the data" not in caplog.text
    # A clip that came later is in neither list: on which side it would have been is not known.
    (root / "growing" / "later.mp4").hardlink_to(next((root / "growing").iterdir()))
    classification(root, work_dir=tmp_path, workers=0, resumed={})
    (root / "growing" / "later.mp4").unlink()
    assert "1 clips are only in the data or only in the lists of the run that is resumed" in caplog.text
    assert "hold_out" in classification(root, work_dir=tmp_path, workers=0).val_dataloader.dataset
