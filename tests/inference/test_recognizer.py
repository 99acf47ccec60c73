import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import kinema
from kinema.checkpoints.saving import save_pretrained
from kinema.errors import CheckpointError, ConfigError, VideoError
from kinema.inference import Prediction, VideoRecognizer, find_checkpoint, load
from kinema.models import create_model, zoo
from kinema.transforms.contract import join_pipeline

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
    assert repr(recognizer) == f"VideoRecognizer({recognizer.name!r}: CompactNet3D, jump, run, sit)"
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
    for name in ("step_00000001", "step_00000002"):
        (folder / name).symlink_to(saved)
    (folder / "last").write_text("step_00000002\n")
    assert find_checkpoint(tmp_path / "work").name == "step_00000002"
    (folder / "best").write_text("step_00000001\n")
    assert find_checkpoint(tmp_path / "work").name == "step_00000001"


def test_what_cannot_be_loaded_is_named(tmp_path, saved):
    with pytest.raises(CheckpointError, match=r"there is no such file or folder: expected a folder with config\.json"):
        load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"no checkpoint here: expected a folder with config\.json"):
        load(tmp_path)
    with pytest.raises(
        CheckpointError, match="slowonly_r50: is a model of the zoo, of which there is no checkpoint here"
    ):
        load("slowonly_r50")
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "sampling": None}))
    with pytest.raises(
        CheckpointError, match=r"config\.json: does not say how frames are sampled \('sampling' is missing\)"
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
    folder = tmp_path / "videos"
    folder.mkdir()
    with pytest.raises(VideoError, match=f"^{folder}: holds no RGB frames: expected numbered images"):
        recognizer.predict(folder)
    (folder / "b.mp4").touch()
    with pytest.raises(
        VideoError, match=f"^{folder}: is a folder of videos, not of frames: give the videos themselves"
    ):
        recognizer.scores(folder)
    with pytest.raises(VideoError, match=f"^{folder / 'b.mp4'}: is empty"):
        recognizer.predict(folder)
    with pytest.raises(VideoError, match=f"^{tmp_path / 'absent'}: no such file$"):
        recognizer.predict(tmp_path / "absent")


def test_a_device_that_is_not_there_is_named(saved):
    with pytest.raises(ConfigError, match="the device 'gpu' cannot be used here"):
        load(saved, device="gpu")


def test_a_pointer_to_a_checkpoint_that_is_gone_is_named(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best").write_text("step_00000009\n")
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        find_checkpoint(tmp_path)


def test_a_config_that_is_no_object_is_named(saved):
    (saved / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"config\.json: expected a JSON object, got a list"):
        load(saved)


def test_wrong_arguments_are_named(saved, make_video):
    recognizer = load(saved)
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        recognizer.predict(make_video(), top_k=0)
    with pytest.raises(TypeError, match=r"a video must be a path, the bytes of a video file, .*; got int"):
        recognizer.predict(3)
    with pytest.raises(ValueError, match="no videos were given: the list is empty"):
        recognizer.predict([])


def test_scores_that_are_not_numbers_name_the_model_and_the_video(saved, make_video):
    recognizer = load(saved)
    with torch.no_grad():
        recognizer.model.cls_head.fc_cls.bias[0] = float("nan")
    with pytest.raises(CheckpointError, match=f"^{saved}: gives scores that are not numbers .* for .*video.mp4"):
        recognizer.predict(make_video())


def test_a_prediction_shows_its_classes(saved, make_video):
    prediction = load(saved).predict(make_video())
    label, score = prediction.label, prediction.score
    assert repr(prediction).startswith(f"Prediction({prediction.path!r}: {label} {score:.3f}, ")
    assert "more" not in repr(prediction)
    many = Prediction("a.mp4", ("a", "b", "c", "d", "e"), (0.5, 0.2, 0.1, 0.1, 0.1))
    assert repr(many) == "Prediction('a.mp4': a 0.500, b 0.200, c 0.100, 2 more)"


def test_more_classes_than_there_are_gives_all(saved, make_video):
    assert len(load(saved).predict(make_video(), top_k=9).labels) == 3


def test_threads_may_share_a_recognizer(saved, tmp_path, make_video):
    recognizer = load(saved)
    videos = [make_video(tmp_path / f"{number}.mp4", num_frames=8 + number) for number in range(4)] * 3
    expected = [recognizer.scores(video) for video in videos]
    with ThreadPoolExecutor(6) as pool:
        for scores, alone in zip(pool.map(recognizer.scores, videos), expected, strict=True):
            torch.testing.assert_close(scores, alone, rtol=0, atol=1e-6)


def test_a_recognizer_can_be_pickled_and_copied(saved, make_video):
    recognizer = load(saved)
    video = make_video()
    for other in (pickle.loads(pickle.dumps(recognizer)), copy.deepcopy(recognizer)):
        torch.testing.assert_close(other.scores(video), recognizer.scores(video))


def test_any_name_of_a_checkpoint_gives_it(tmp_path, saved, make_video):
    expected = load(saved).scores(video := make_video())
    (tmp_path / "work" / "checkpoints").mkdir(parents=True)
    (tmp_path / "work" / "checkpoints" / "step_00000001").symlink_to(saved)
    (tmp_path / "work" / "checkpoints" / "best").write_text("step_00000001\n")
    for path in ("saved/model.safetensors", "saved/config.json", "work", "work/checkpoints", "work/checkpoints/best"):
        assert torch.equal(load(tmp_path / path).scores(video), expected), path


def test_what_is_no_checkpoint_says_what_it_is(tmp_path, saved, make_video):
    with pytest.raises(CheckpointError, match=r"video\.mp4: is a video, not a checkpoint: expected a folder with"):
        load(make_video())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train.log").touch()
    with pytest.raises(CheckpointError, match="the training in this work folder has finished no epoch yet"):
        load(tmp_path / "run")
    (saved / "config.json").unlink()
    for path in (saved, saved / "model.safetensors"):
        with pytest.raises(
            CheckpointError, match=r"model\.safetensors lacks the config\.json|there is no config\.json beside"
        ):
            load(path)


def test_scores_are_calibrated_where_the_checkpoint_has_a_temperature(saved, make_video):
    video = make_video()
    plain = load(saved)
    assert (plain.temperature, plain.thresholds, plain.is_multi_label) == (None, {}, False)
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "temperature": 0.25, "thresholds": {"run": 0.5}}))
    tuned = load(saved)
    assert (tuned.temperature, tuned.thresholds) == (0.25, {"run": 0.5})
    expected = (plain.scores(video).log() / 0.25).softmax(-1)
    torch.testing.assert_close(tuned.scores(video), expected, rtol=0, atol=1e-6)
    assert tuned.predict(video).score == pytest.approx(expected.max().item(), abs=1e-6)
    views = (plain.scores(video, views="5x1").log() / 0.25).softmax(-1)
    torch.testing.assert_close(tuned.scores(video, views="5x1"), views, rtol=0, atol=1e-6)
    tuned.model.cls_head.average_clips = None
    torch.testing.assert_close(tuned.scores(video), expected, rtol=0, atol=1e-6)
    tuned.model.cls_head.average_clips, tuned.model.cls_head.multi_class = "prob", True
    plain.model.cls_head.multi_class = True
    assert tuned.is_multi_label
    expected = (plain.scores(video).logit() / 0.25).sigmoid()
    torch.testing.assert_close(tuned.scores(video), expected, rtol=0, atol=1e-6)


def test_a_threshold_of_a_class_that_there_is_not_is_named(saved):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "thresholds": {"fly": 0.5}}))
    with pytest.raises(CheckpointError, match="'thresholds' name a class that it does not have, 'fly'"):
        load(saved)
