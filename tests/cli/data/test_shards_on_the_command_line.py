"""Shards where a data set is named: information, training, evaluation."""

import json

import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.datasets import VideoDataset
from kinema.datasets.annotations import find_splits, read_split
from kinema.datasets.synthetic import make_motion_dataset
from kinema.errors import AnnotationError
from kinema.inference import VideoRecognizer
from kinema.models import create_model, zoo
from kinema.models.zoo.creation import video_pipeline
from kinema.recipes import classification, evaluate, evaluation_clips
from kinema.registry import DATASETS


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    clips = make_motion_dataset(folder / "clips", num_train=16, num_val=8, num_frames=8, size=(32, 32))
    shown = CliRunner().invoke(app, ["data", "shard", str(clips.root), str(folder / "shards")])
    assert shown.exit_code == 0, shown.output
    return folder / "shards"


def test_splits_of_shards_are_found(shards):
    train, val = find_splits(shards)
    assert (len(train.annotations), len(val.annotations)) == (16, 8)
    assert train.annotations.class_names == val.annotations.class_names
    with train.open_video(3) as reader:
        assert len(reader) == 8
    assert train.size_of(0) > 0
    assert train.dataset_config() == {"folder": str(shards / "train")}


def test_info_describes_shards(shards):
    shown = CliRunner().invoke(app, ["data", "info", str(shards), "--json"])
    value = json.loads(shown.stdout)
    assert [part["num_clips"] for part in value["parts"]] == [16, 8]
    assert value["problems"] == []
    assert "*.tar: 16 clips" in value["layout"]


def test_training_reads_shards(shards, tmp_path):
    config = classification(shards, work_dir=tmp_path, workers=0)
    dataset = DATASETS.build(config["train_dataloader"]["dataset"])
    assert type(dataset).__name__ == "ShardDataset"
    assert (len(dataset), dataset[0]["inputs"].dim()) == (16, 5)


def test_clips_are_held_out_of_shards_without_validation(shards, tmp_path, caplog):
    config = classification(shards / "train", work_dir=tmp_path, workers=0)
    train, val = (DATASETS.build(config[f"{name}_dataloader"]["dataset"]) for name in ("train", "val"))
    assert len(train) + len(val) == 16
    assert len(val) == 8, "one of each class"
    names = [{dataset.get_data_info(one)["filename"] for one in range(len(dataset))} for dataset in (train, val)]
    assert not names[0] & names[1]
    assert "shards do not say which clips come from one source video" in caplog.text


def test_shards_are_evaluated(shards):
    split = evaluation_clips(shards, find_splits(shards)[0].annotations.class_names)
    recognizer = VideoRecognizer(
        create_model("compact3d", num_classes=8), split.annotations.class_names, video_pipeline(zoo.card("compact3d"))
    )
    evaluation = evaluate(recognizer, split, workers=0)
    assert evaluation.num_clips == len(evaluation.clips.labels) == 8


def test_a_dataset_of_video_files_refuses_shards(shards):
    with pytest.raises(AnnotationError, match="holds videos in tar files: ShardDataset reads these"):
        VideoDataset(shards / "train")
    assert read_split(shards / "val").shards is not None
