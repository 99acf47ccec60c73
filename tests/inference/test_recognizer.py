import json

import pytest
import torch

import kinema
from kinema.errors import CheckpointError, ConfigError, VideoError
from kinema.inference import VideoRecognizer, find_checkpoint, load
from kinema.models import create_model, zoo
from kinema.models.checkpoint import save_pretrained
from kinema.transforms import join_pipeline

SAMPLING = [dict(type="SampleFrames", clip_len=4, frame_interval=2, test_mode=True)]
PREPROCESSING = [
    dict(type="Resize", scale=(-1, 36)),
    dict(type="CenterCrop", crop_size=32),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]
CONTRACT = dict(classes=["jump", "run", "sit"], sampling=SAMPLING, preprocessing=PREPROCESSING)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_model("compact3d", num_classes=3)


@pytest.fixture
def saved(tmp_path, model):
    config = dict(model=zoo.model_config("compact3d", 3), **CONTRACT)
    return save_pretrained(model, tmp_path / "saved", config=config)


def test_a_checkpoint_is_all_that_prediction_needs(saved, model, make_video):
    video = make_video()
    expected = VideoRecognizer(model, CONTRACT["classes"], join_pipeline(SAMPLING, PREPROCESSING)).scores(video)
    recognizer = kinema.load(saved)
    assert torch.equal(recognizer.scores(video), expected)
    prediction = recognizer.predict(video, top_k=2)
    order = expected.argsort(descending=True).tolist()
    assert prediction.labels == tuple(CONTRACT["classes"][index] for index in order[:2])
    assert prediction.score == prediction.scores[0] == pytest.approx(expected.max().item())
    assert (prediction.label, prediction.path) == (prediction.labels[0], str(video))
    assert expected.sum().item() == pytest.approx(1)


def test_classes_without_names_are_numbers(model, make_video):
    recognizer = VideoRecognizer(model, (), join_pipeline(SAMPLING, PREPROCESSING))
    assert set(recognizer.predict(make_video()).labels) == {"0", "1", "2"}


def test_a_work_folder_gives_its_best_checkpoint_else_its_last(tmp_path, saved):
    folder = tmp_path / "work" / "checkpoints"
    folder.mkdir(parents=True)
    for name in ("epoch_0001", "epoch_0002"):
        (folder / name).symlink_to(saved)
    (folder / "last").write_text("epoch_0002\n")
    assert find_checkpoint(tmp_path / "work").name == "epoch_0002"
    (folder / "best").write_text("epoch_0001\n")
    assert find_checkpoint(tmp_path / "work").name == "epoch_0001"


def test_what_cannot_be_loaded_is_named(tmp_path, saved):
    with pytest.raises(CheckpointError, match=r"no checkpoint here: expected a folder with config\.json"):
        load(tmp_path / "absent")
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "sampling": None}))
    with pytest.raises(
        CheckpointError, match=r"config\.json: does not tell how frames are sampled \('sampling' is missing\)"
    ):
        load(saved)
    (saved / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: is no JSON"):
        load(saved)


def test_a_video_that_cannot_be_read_is_named(saved, tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoError, match="empty.mp4"):
        load(saved).predict(tmp_path / "empty.mp4")


def test_a_folder_and_a_missing_file_are_named_as_given(saved, tmp_path):
    recognizer = load(saved)
    with pytest.raises(VideoError, match=f"^{tmp_path}: is a folder, not a video file$"):
        recognizer.predict(tmp_path)
    with pytest.raises(VideoError, match=f"^{tmp_path / 'absent'}: no such file$"):
        recognizer.predict(tmp_path / "absent")


def test_a_device_that_is_not_there_is_named(saved):
    with pytest.raises(ConfigError, match="the device 'gpu' cannot be used here"):
        load(saved, device="gpu")


def test_a_pointer_to_a_checkpoint_that_is_gone_is_named(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best").write_text("epoch_0009\n")
    with pytest.raises(CheckpointError, match=r"its checkpoint 'epoch_0009' is not there or has no config\.json"):
        find_checkpoint(tmp_path)


def test_a_config_that_is_no_object_is_named(saved):
    (saved / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"config\.json: expected a JSON object, got a list"):
        load(saved)


def test_wrong_arguments_are_named(saved, make_video):
    recognizer = load(saved)
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        recognizer.predict(make_video(), top_k=0)
    with pytest.raises(TypeError, match="a video must be given by its path, got list"):
        recognizer.predict([make_video()])
