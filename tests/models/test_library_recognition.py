"""Classifiers of transformers as recognizers: what a config and a folder say, without the library."""

import json
from pathlib import Path

import pytest
import torch

from kinema.errors import CheckpointError, ConfigError
from kinema.models import ScoresHead
from kinema.models.backbones.libraries.hugging_face_files import normalisation, number_of_labels
from kinema.models.backbones.libraries.plain import check_plain
from kinema.models.library_recognition import built_config, recognizer_config

VIVIT = "transformers.VivitForVideoClassification"


def folder(tmp_path: Path, config: object = None, preprocessor: object = None) -> str:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text(json.dumps({} if config is None else config))
    if preprocessor is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return str(tmp_path)


def test_a_folder_says_how_many_classes_there_are_and_how_frames_are_normalised(tmp_path: Path) -> None:
    labels = {"0": "run", "1": "jump", "2": "fall"}
    path = folder(tmp_path, {"id2label": labels}, {"image_mean": [0.5] * 3, "image_std": [0.2] * 3})
    config = recognizer_config({"type": VIVIT, "pretrained": path, "topk": (1,), "average_clips": "score"})
    assert config["type"] == "Recognizer3D"
    assert config["backbone"] == {"type": VIVIT, "pretrained": path, "num_labels": 3}
    head = {"type": "ScoresHead", "num_classes": 3, "average_clips": "score", "topk": (1,)}
    assert config["cls_head"] == head
    preprocessor = config["data_preprocessor"]
    assert (preprocessor["mean"], preprocessor["std"]) == ([127.5] * 3, pytest.approx([51.0] * 3))


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        ({"image_mean": [0.5], "image_std": [0.5]}, 127.5, 127.5),
        ({"rescale_factor": 1 / 127.5, "offset": True, "image_mean": [0.5], "image_std": [0.5]}, 191.25, 63.75),
        ({"do_normalize": False}, 0, 255),
        ({"do_rescale": False, "image_mean": [4.0], "image_std": [2.0]}, 4, 2),
    ],
)
def test_normalisation_is_what_the_processor_of_transformers_does(
    tmp_path: Path, values: dict, mean: float, std: float
) -> None:
    found = normalisation(Path(folder(tmp_path, preprocessor=values)))
    assert found is not None
    assert (found[0][0], found[1][0]) == pytest.approx((mean, std))


def test_a_folder_without_labels_has_the_two_of_transformers(tmp_path: Path) -> None:
    assert number_of_labels(Path(folder(tmp_path))) == 2
    assert normalisation(tmp_path) is None


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"VivitModel gives features, no scores: name it as backbone of Recognizer3D"):
        recognizer_config({"type": "transformers.VivitModel"})
    with pytest.raises(ConfigError, match="nothing says how frames are normalised: set data_preprocessor"):
        recognizer_config({"type": VIVIT})
    with pytest.raises(CheckpointError, match=r"nowhere: there is no such folder; .* where download=True asks for it"):
        recognizer_config({"type": VIVIT, "pretrained": "nowhere"})
    with pytest.raises(CheckpointError, match=r"the folder has no config\.json, so it is none of transformers"):
        recognizer_config({"type": VIVIT, "pretrained": str(tmp_path)})
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors; files of pickle are not read"):
        recognizer_config({"type": VIVIT, "pretrained": str(tmp_path)})
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"config\.json: expected an object of settings, found a list"):
        recognizer_config({"type": VIVIT, "pretrained": str(tmp_path)})
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: no JSON that can be read"):
        recognizer_config({"type": VIVIT, "pretrained": str(tmp_path)})


def test_the_config_of_a_model_without_a_library_stays_as_it_is() -> None:
    config = {"type": "Recognizer3D", "backbone": {"type": "C3D"}}
    assert built_config(config, torch.nn.Identity()) == config


def test_a_config_that_comes_with_weights_may_shape_such_a_network_and_nothing_else() -> None:
    check_plain({"type": "transformers.VivitModel", "hidden_size": 24, "tubelet_size": [2, 16, 16]}, "file")
    for key, value in (("pretrained", "x"), ("download", True), ("auto_map", "x"), ("num_classes", 3)):
        with pytest.raises(CheckpointError, match=f"it sets '{key}' of 'transformers.VivitModel', which"):
            check_plain({"type": "transformers.VivitModel", key: value}, "file")


def test_scores_of_clips_stay_and_those_of_frames_are_averaged() -> None:
    head = ScoresHead(3, average_clips="score")
    scores = torch.randn(4, 3)
    assert torch.equal(head(scores), scores)
    torch.testing.assert_close(head(scores[:, :, None, None], num_segs=2), scores.unflatten(0, (2, 2)).mean(1))
    with pytest.raises(ConfigError, match="gives 5 channels, but ScoresHead was built with in_channels=3"):
        head(torch.randn(1, 5))
