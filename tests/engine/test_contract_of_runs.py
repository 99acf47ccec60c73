"""A model that a run trained is saved with what it was trained with, whoever writes the checkpoint."""

import json
from dataclasses import replace

import pytest

import kinema
from kinema.datasets import VideoDataset, build_dataloader
from kinema.engine import Runner
from kinema.errors import CheckpointError
from kinema.models import zoo
from kinema.recipes import classification


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    from kinema.datasets.synthetic import make_motion_dataset

    return make_motion_dataset(tmp_path_factory.mktemp("clips"), num_train=8, num_val=8, num_frames=24, size=(32, 32))


def pipeline(*, train=False):
    """Not the card's: frames 5 apart."""
    return zoo.video_pipeline(zoo.card("compact3d"), frame_interval=5, train=train)


def interval_of(folder):
    sampling = json.loads((folder / "config.json").read_text())["sampling"]
    return sampling[0]["frame_interval"]


def loader(clips, part, **changes):
    dataset = {
        "type": "VideoDataset",
        "ann_file": str(clips.root / f"{part}.txt"),
        "pipeline": pipeline(train=part == "train"),
    }
    dataset |= {"data_prefix": {"video": str(clips.root)}, "metainfo": {"classes": list(clips.class_names)}}
    return {"batch_size": 4, "num_workers": 0, "sampler": {"type": "DefaultSampler"}, "dataset": dataset | changes}


def settings(clips, folder, **changes):
    return {
        "model": kinema.create_model("compact3d", num_classes=8),
        "work_dir": folder / "work",
        "train_dataloader": loader(clips, "train"),
        "train_cfg": {"max_epochs": 1},
        "val_dataloader": loader(clips, "val"),
        "val_cfg": {},
        "val_evaluator": {"type": "AccMetric"},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.01}},
        "device": "cpu",
        **changes,
    }


def test_a_created_model_takes_the_pipeline_and_the_classes_of_its_training(clips, tmp_path) -> None:
    runner = Runner(**settings(clips, tmp_path))
    card = zoo.card("compact3d").input.frame_interval
    assert runner.model.contract.sampling[0]["frame_interval"] == card != 5
    runner.train()
    assert interval_of(runner.model.save_pretrained(tmp_path / "saved")) == 5
    assert kinema.load(tmp_path / "saved").classes == tuple(clips.class_names)
    # The checkpoints of its run say the same, and how to build the model, though the runner got an
    # object.
    assert interval_of(tmp_path / "work" / "checkpoints" / "step_00000002") == 5
    recognizer = kinema.load(tmp_path / "work")
    # What is saved again, by the recognizer or by its model, is still the same.
    assert interval_of(recognizer.save_pretrained(tmp_path / "again")) == 5
    assert interval_of(recognizer.model.save_pretrained(tmp_path / "model")) == 5
    assert json.loads((tmp_path / "model" / "config.json").read_text())["format"] == 1


def test_a_training_forgets_what_was_measured_on_other_weights(clips, tmp_path) -> None:
    model = kinema.create_model("compact3d", num_classes=8)
    model.contract = replace(model.contract, clip_seconds=5.0, thresholds={"0": 0.3}, temperature=2.0)
    runner = Runner(**settings(clips, tmp_path, model=model))
    runner.train()
    contract = runner.contract()
    assert (contract.clip_seconds, contract.thresholds, contract.temperature) == (None, None, None)


def test_loaders_that_were_built_before_say_it_too(clips, tmp_path) -> None:
    changes = {f"{part}_dataloader": build_dataloader(loader(clips, part)) for part in ("train", "val")}
    assert isinstance(changes["val_dataloader"].dataset, VideoDataset)
    runner = Runner(**settings(clips, tmp_path, **changes))
    runner.train()
    assert interval_of(runner.model.save_pretrained(tmp_path / "saved")) == 5


def test_a_model_of_a_config_is_saved_as_it_was_trained(clips, tmp_path) -> None:
    runner = Runner.from_cfg(classification(clips.root, work_dir=tmp_path / "work", epochs=1, workers=0))
    runner.train()
    assert interval_of(runner.model.save_pretrained(tmp_path / "saved")) == 3


def test_a_training_whose_evaluation_is_unknown_does_not_keep_the_card(clips, tmp_path) -> None:
    changes = {"val_dataloader": None, "val_cfg": None, "val_evaluator": None}
    runner = Runner(**settings(clips, tmp_path, **changes))
    runner.train()
    with pytest.raises(CheckpointError, match=r"give pipeline=\[\.\.\.\], which opens and decodes a video"):
        runner.model.save_pretrained(tmp_path / "saved")
    assert interval_of(runner.model.save_pretrained(tmp_path / "saved", pipeline=pipeline())) == 5
