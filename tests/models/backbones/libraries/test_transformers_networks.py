"""Networks of transformers as backbones and recognizers, against transformers itself with random weights."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import kinema
from kinema.config.checking import check_parts
from kinema.errors import CheckpointError, ConfigError
from kinema.models import Recognizer2D, Recognizer3D, TimeSformerHead, TSNHead, ViViT
from kinema.models.backbones.libraries import build_third_party
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SIZES = {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 40, "image_size": 32}
OF_CLIPS = {**SIZES, "num_frames": 4}
V_JEPA = {"hidden_size": 48, "num_attention_heads": 2, "num_hidden_layers": 2, "crop_size": 32, "pred_hidden_size": 24}
V_JEPA |= {"pred_num_attention_heads": 2, "pred_num_hidden_layers": 1, "frames_per_clip": 4, "mlp_ratio": 2.0}
PRISM = {key: value for key, value in OF_CLIPS.items() if key != "num_hidden_layers"}
PRISM |= {"num_spatial_layers": 1, "num_temporal_layers": 1, "num_auxiliary_layers": 1, "tubelet_size": [1, 16, 16]}
VIDEO = {
    "VivitModel": (OF_CLIPS, "token"),
    "TimesformerModel": (OF_CLIPS, "token"),
    "VideoMAEModel": (OF_CLIPS, "mean"),
    "VJEPA2Model": (V_JEPA, "mean"),
    "VideoPrismVisionModel": (PRISM, "mean"),
}
CLASSIFIERS = {
    "VivitForVideoClassification": OF_CLIPS,
    "TimesformerForVideoClassification": OF_CLIPS,
    "VideoMAEForVideoClassification": OF_CLIPS,
    "VJEPA2ForVideoClassification": {**V_JEPA, "num_pooler_layers": 1},
    "VideoPrismForVideoClassification": PRISM,
}
CLIPS = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
PREPROCESSOR = {"type": "ActionDataPreprocessor", "mean": [0.0], "std": [1.0], "format_shape": "NCTHW"}


def filled(network: torch.nn.Module) -> Any:
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def folder_of(tmp_path: Path, name: str, config: dict, **preprocessor: Any) -> Path:
    network_class = getattr(transformers, name)
    filled(network_class(network_class.config_class(**config))).save_pretrained(tmp_path)
    if preprocessor:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return tmp_path


def their_output(network: Any, clips: Tensor) -> Any:
    with torch.no_grad():
        return network(**{network.main_input_name: clips.transpose(1, 2)})


@pytest.mark.parametrize("name", VIDEO)
def test_a_video_model_is_a_backbone_of_clips_and_all_that_trains_gets_gradients(name: str) -> None:
    config, pooling = VIDEO[name]
    torch.manual_seed(0)
    model = Recognizer3D({"type": f"transformers.{name}", **config}, TimeSformerHead(5, config["hidden_size"]))
    filled(model)
    tokens = their_output(model.backbone, CLIPS).last_hidden_state
    expected = tokens[:, 0] if pooling == "token" else tokens.mean(1)
    with torch.no_grad():
        torch.testing.assert_close(model(CLIPS[:, None]), expected)
    samples = [ActionDataSample().set_gt_label(label) for label in (1, 4)]
    model.train()(CLIPS[:, None], samples, mode="loss")["loss_cls"].backward()
    trained = [(key, weight) for key, weight in model.named_parameters() if weight.requires_grad]
    assert [key for key, weight in trained if weight.grad is None] == []


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_in_a_folder_is_a_whole_recognizer_that_is_saved_and_loaded(name: str, tmp_path: Path) -> None:
    config = {**CLASSIFIERS[name], "num_labels": 6}
    folder = folder_of(tmp_path / "theirs", name, config, image_mean=[0.5] * 3, image_std=[0.25] * 3)
    described = {"type": f"transformers.{name}", "pretrained": str(folder)}
    check_parts({"model": described})
    model = MODELS.build(described).eval()
    assert model.num_classes == 6
    assert model.data_preprocessor.mean.flatten().tolist() == [127.5] * 3
    theirs = getattr(transformers, name).from_pretrained(folder).eval()
    scores = their_output(theirs, CLIPS).logits.reshape(2, 6).softmax(-1)
    predicted = model(CLIPS[:, None], mode="predict")
    torch.testing.assert_close(torch.stack([sample.pred_score for sample in predicted]), scores)
    pipeline = [
        {"type": "OpenVideo"},
        {"type": "SampleFrames", "clip_len": 4, "frame_interval": 1, "num_clips": 1, "test_mode": True},
        {"type": "DecodeVideo"},
        {"type": "Resize", "scale": (32, 32), "keep_ratio": False},
        {"type": "FormatShape", "input_format": "NCTHW"},
        {"type": "PackActionInputs"},
    ]
    model.save_pretrained(tmp_path / "ours", model=described, pipeline=pipeline)
    shutil.rmtree(folder)  # what was saved stands by itself
    loaded = kinema.load(tmp_path / "ours").model
    again = loaded(CLIPS[:, None], mode="predict")
    torch.testing.assert_close(torch.stack([sample.pred_score for sample in again]), scores)


@pytest.mark.parametrize(
    ("name", "settings", "output"),
    [
        ("CLIPVisionModel", {}, "pooler_output"),
        ("CLIPVisionModelWithProjection", {"pooling": "pooler", "projection_dim": 7}, "image_embeds"),
        ("SiglipVisionModel", {}, "pooler_output"),
        ("SiglipVisionModel", {"pooling": "mean"}, None),
        ("Dinov2Model", {}, None),
    ],
)
def test_image_encoders_see_the_frames_of_a_clip(name: str, settings: dict, output: str | None) -> None:
    config = {**SIZES, "patch_size": 16}
    if name == "Dinov2Model":
        config = {key: value for key, value in config.items() if key != "intermediate_size"}
    backbone = {"type": f"transformers.{name}", **config, **settings}
    model = filled(Recognizer2D(backbone, TSNHead(4, settings.get("projection_dim", 24), average_clips="score")))
    frames = CLIPS.transpose(1, 2)
    with torch.no_grad():
        theirs = model.backbone(pixel_values=frames.flatten(0, 1))
        tokens = theirs.last_hidden_state
        expected = tokens.mean(1) if "pooling" in settings else tokens[:, 0]
        expected = theirs[output] if output else expected
        torch.testing.assert_close(model(frames), expected[:, :, None, None])
        mean = expected.unflatten(0, (2, 4)).mean(1)
        scores = torch.stack([sample.pred_score for sample in model(frames, mode="predict")])
        torch.testing.assert_close(scores, model.cls_head.fc_cls(mean))


def test_an_image_classifier_is_a_recognizer_of_frames() -> None:
    preprocessor = {**PREPROCESSOR, "format_shape": "NCHW"}
    config = {**SIZES, "patch_size": 16, "num_labels": 3, "data_preprocessor": preprocessor, "average_clips": "score"}
    model = filled(MODELS.build({"type": "transformers.ViTForImageClassification", **config}))
    frames = CLIPS.transpose(1, 2)
    with torch.no_grad():
        expected = model.backbone(pixel_values=frames.flatten(0, 1)).logits.unflatten(0, (2, 4)).mean(1)
        scores = torch.stack([sample.pred_score for sample in model(frames, mode="predict")])
    torch.testing.assert_close(scores, expected)


# ---- files


@pytest.mark.parametrize("name", ["VivitForVideoClassification", "VideoMAEForVideoClassification"])
def test_the_names_of_published_files_are_read_as_those_of_today(name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, name, {**OF_CLIPS, "num_labels": 3}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    described = {"type": f"transformers.{name}", "pretrained": str(folder)}
    published = load_file(folder / "model.safetensors")  # transformers writes the names of its first versions
    first = MODELS.build(described).eval()
    weights = first.backbone.state_dict()
    assert published.keys() != weights.keys()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    second = MODELS.build(described).eval()
    for model in (first, second):
        theirs = their_output(getattr(transformers, name).from_pretrained(folder).eval(), CLIPS).logits
        torch.testing.assert_close(their_output(model.backbone, CLIPS).logits, theirs)
    if name.startswith("Vivit"):  # both are read by the network of our own, too
        for kind in (published, weights):
            save_file(kind, folder / "model.safetensors", metadata={"format": "pt"})
            own = ViViT(32, 4, embed_dims=24, depth=2, num_heads=2, feedforward_channels=40, pretrained=str(folder))
            own.init_weights()
            tokens = their_output(first.backbone.vivit, CLIPS).last_hidden_state
            torch.testing.assert_close(own.eval()(CLIPS), tokens[:, 0], rtol=1e-4, atol=1e-5)


def test_a_classifier_for_other_classes_is_new_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(tmp_path, "VivitForVideoClassification", {**OF_CLIPS, "num_labels": 3})
    config = {"type": "transformers.VivitForVideoClassification", "pretrained": str(folder), "num_labels": 5}
    with caplog.at_level(logging.INFO, "kinema"):
        model = MODELS.build({**config, "data_preprocessor": PREPROCESSOR})
    assert model.num_classes == 5
    assert "the classifier is new: classifier.bias, classifier.weight" in caplog.text


def test_a_bare_model_leaves_the_classifier_of_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = folder_of(tmp_path, "VideoMAEForVideoClassification", {**OF_CLIPS, "num_labels": 3})
    with caplog.at_level(logging.INFO, "kinema"):
        network = build_third_party({"type": "transformers.VideoMAEModel", "pretrained": str(folder)})
    assert "not needed: classifier.bias, classifier.weight, fc_norm.bias, fc_norm.weight" in caplog.text
    assert network.config["hidden_size"] == 24
    assert "pretrained" not in network.config


def test_a_file_that_is_not_read_in_full_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "VivitModel", OF_CLIPS)
    weights = load_file(folder / "model.safetensors")
    weights["extra.weight"] = weights.pop(next(name for name in weights if "1.output.dense.bias" in name))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    message = r"weights of a VivitModel: missing: layers\.1\.mlp\.fc2\.bias; unexpected: extra\.weight"
    with pytest.raises(CheckpointError, match=message):
        build_third_party({"type": "transformers.VivitModel", "pretrained": str(folder)})
    with pytest.raises(CheckpointError, match="of another shape: embeddings.position_embeddings"):
        build_third_party({"type": "transformers.VivitModel", "pretrained": str(folder), "num_frames": 8})


# ---- what does not fit


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"type": "transformers.VivitModl"}, "transformers has no network 'VivitModl': did you mean VivitModel"),
        ({"type": "transformers.BertModel"}, "transformers.BertModel takes no images or clips: name a video model"),
        ({"type": "transformers.VivitModel", "num_frame": 4}, "no key 'num_frame': did you mean num_frames"),
        (
            {"type": "transformers.VivitModel", "pooling": "max"},
            "must be one of token, mean, pooler, scores, got 'max'",
        ),
        (
            {"type": "transformers.VivitModel", "pooling": "scores"},
            "pooling='scores' does not fit: it has no classifier",
        ),
        (
            {"type": "transformers.VivitForVideoClassification", "pooling": "mean"},
            "pooling='mean' does not fit: a classifier gives 'scores', the model inside it tokens",
        ),
    ],
)
def test_wrong_requests_name_what_there_is(config: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_third_party(config)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("VJEPA2Model", (1, 3, 4, 48, 48), r"built for 32 x 32 pixels \(crop_size\), but the clips have 48 x 48"),
        ("VJEPA2Model", (1, 3, 3, 32, 32), r"joins 2 frames in a tubelet .* do not divide the 3 frames of the clips"),
        (
            "TimesformerModel",
            (1, 3, 8, 32, 32),
            r"built for 4 frames \(num_frames\), but the clips have 8: set clip_len",
        ),
        ("VivitModel", (1, 3, 4, 48, 32), r"built for 32 x 32 pixels \(image_size\), but the clips have 48 x 32"),
        (
            "VideoMAEModel",
            (1, 3, 32, 32),
            r"takes clips of shape \(batch, .*\), got .*: in a model it needs Recognizer3D",
        ),
    ],
)
def test_clips_of_another_size_are_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    network = build_third_party({"type": f"transformers.{name}", **VIDEO[name][0]})
    with pytest.raises(ConfigError, match=message):
        network.features(network.module, torch.zeros(shape))


def test_a_video_model_is_no_backbone_of_frames_nor_the_other_way_round() -> None:
    with pytest.raises(ConfigError, match="VivitModel takes clips: it needs Recognizer3D, not Recognizer2D"):
        Recognizer2D({"type": "transformers.VivitModel", **OF_CLIPS})
    with pytest.raises(ConfigError, match="ViTModel takes single frames: it needs Recognizer2D, not Recognizer3D"):
        Recognizer3D({"type": "transformers.ViTModel", **SIZES, "patch_size": 16})


def test_a_network_without_a_pooling_of_its_own_says_so() -> None:
    network = build_third_party({"type": "transformers.VideoMAEModel", **OF_CLIPS, "pooling": "pooler"})
    with pytest.raises(ConfigError, match="VideoMAEModel pools nothing by itself: set pooling='token' or 'mean'"):
        network.features(network.module, CLIPS)
