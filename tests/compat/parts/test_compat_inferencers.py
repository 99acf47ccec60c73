import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kinema.compat.parts.base_inferencer import BaseInferencer
from kinema.compat.parts.inference import inference_recognizer, init_recognizer
from kinema.compat.parts.inferencer_inputs import InferencerPackInput
from kinema.compat.parts.model_names import list_names, named_model
from kinema.compat.parts.recognition_inferencers import ActionRecogInferencer, MMAction2Inferencer
from kinema.config import Config
from kinema.errors import ConfigError
from kinema.registry import INFERENCERS
from kinema.video import VideoReader

PIPELINE = [
    {"type": "DecordInit"},
    {"type": "SampleFrames", "clip_len": 4, "frame_interval": 1, "num_clips": 2, "test_mode": True},
    {"type": "DecordDecode"},
    {"type": "Resize", "scale": (16, 16), "keep_ratio": False},
    {"type": "FormatShape", "input_format": "NCTHW"},
    {"type": "PackActionInputs"},
]


@pytest.fixture
def config() -> Config:
    head = {"type": "I3DHead", "num_classes": 3, "in_channels": 4, "average_clips": "prob"}
    preprocessor = {"type": "ActionDataPreprocessor", "mean": [128.0], "std": [64.0], "format_shape": "NCTHW"}
    backbone = {"type": nn.Conv3d, "in_channels": 3, "out_channels": 4, "kernel_size": 1}
    model = {"type": "Recognizer3D", "backbone": backbone, "cls_head": head, "data_preprocessor": preprocessor}
    return Config({"model": model, "test_pipeline": PIPELINE})


@pytest.fixture
def weights(config: Config, tmp_path: Path) -> Path:
    torch.save({"state_dict": init_recognizer(config, device="cpu").state_dict()}, tmp_path / "model.pth")
    return tmp_path / "model.pth"


def test_videos_arrays_and_folders_have_the_scores_of_the_recognizer(
    config: Config, weights: Path, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    path = str(make_video(num_frames=12))
    expected = inference_recognizer(init_recognizer(config, weights, device="cpu"), path).pred_score
    inferencer = ActionRecogInferencer(config, weights, device="cpu")
    result = inferencer([path, path], batch_size=2, vid_out_dir=tmp_path / "drawn", out_type="img")
    assert [clip["pred_scores"] for clip in result["predictions"]] == [pytest.approx(expected.tolist())] * 2
    assert result["predictions"][0]["pred_labels"] == [int(expected.argmax())]
    assert result["visualization"][0].shape[0] == 12
    frames = tmp_path / "drawn" / Path(path).name / "frames_0"
    assert len(list(frames.iterdir())) == 12
    sample = inferencer(path, return_datasamples=True)["predictions"][0]
    assert torch.allclose(sample.pred_score, expected)
    with VideoReader(path) as reader:
        array = reader.get_batch(np.arange(12))
    of_array = ActionRecogInferencer(config, weights, "cpu", input_format="array")(
        array, vid_out_dir=tmp_path / "drawn"
    )
    assert of_array["predictions"][0]["pred_scores"] == pytest.approx(expected.tolist())
    with VideoReader(tmp_path / "drawn" / "00000000.mp4") as reader:
        assert len(reader) == 12
    pack = {"filename_tmpl": "{}.png", "start_index": 0}
    plain = ActionRecogInferencer(config, weights, "cpu", input_format="rawframes", pack_cfg=pack)
    assert [type(step).__name__ for step in plain.pipeline.transforms][:3] == [
        "InferencerPackInput",
        "SampleFrames",
        "RawFrameDecode",
    ]
    assert len(plain(str(frames))["predictions"][0]["pred_scores"]) == 3


def test_the_inferencer_of_mmaction2_names_its_task(
    config: Config, weights: Path, make_video: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(make_video(num_frames=8))
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\n")
    inferencer = MMAction2Inferencer(config, str(weights), "cpu", label_file=labels)
    assert inferencer.actionrecog_inferencer.visualizer.dataset_meta == {"classes": ["a", "b", "c"]}
    result = inferencer(path, print_result=True, pred_out_file=tmp_path / "p.json", vid_out_dir=str(tmp_path / "out"))
    (clip,) = result["predictions"]
    assert sorted(clip) == ["rec_labels", "rec_scores"]
    assert sum(clip["rec_scores"][0]) == pytest.approx(1)
    assert json.loads((tmp_path / "p.json").read_text()) == {"predictions": [clip]}
    assert "rec_labels" in capsys.readouterr().out
    assert (tmp_path / "out" / Path(path).with_suffix(".mp4").name).is_file()
    inferencer(path, pred_out_file=tmp_path / "p.pkl")
    assert pickle.loads((tmp_path / "p.pkl").read_bytes()) == {"predictions": [clip]}
    with pytest.raises(ValueError, match=r"pred_out_file must end with \.json, \.pkl or \.pickle"):
        inferencer(path, pred_out_file=tmp_path / "p.txt")
    with pytest.raises(ValueError, match="MMAction2Inferencer has no keyword 'nonsense'"):
        inferencer(path, nonsense=1)
    with pytest.raises(ValueError, match="show=True needs a window"):
        inferencer(path, show=True)
    with pytest.raises(ValueError, match="rec must be given"):
        MMAction2Inferencer()


class Lengths(BaseInferencer):
    """Of texts."""

    preprocess_kwargs = {"offset"}
    forward_kwargs = {"factor"}
    visualize_kwargs = {"mark"}
    postprocess_kwargs = {"unit"}

    def _init_pipeline(self, cfg: Any) -> Callable[..., Any]:
        return len

    def _init_collate(self, cfg: Any) -> Callable[..., Any]:
        return list

    def preprocess(self, inputs, batch_size=1, offset=0):
        return ([number + offset for number in chunk] for chunk in super().preprocess(inputs, batch_size))

    def forward(self, inputs, factor=1):
        return [factor * number for number in inputs]

    def visualize(self, inputs, preds, show=False, mark=""):
        return [f"{text}{mark}" for text in inputs]

    def postprocess(self, preds, visualization, return_datasample=False, unit=""):
        return {"predictions": [f"{number}{unit}" for number in preds], "visualization": visualization}


def test_each_step_of_an_inferencer_gets_its_keywords(config: Config, weights: Path, tmp_path: Path) -> None:
    inferencer = Lengths(config, weights, device="cpu", show_progress=False)
    result = inferencer(["a", "bb", "ccc"], batch_size=2, offset=1, factor=10, mark="!", unit="m")
    assert result == {"predictions": ["20m", "30m", "40m"], "visualization": ["a!", "bb!", "ccc!"]}
    assert inferencer._dispatch_kwargs(mark=1, offset=2) == ({"offset": 2}, {}, {"mark": 1}, {})
    assert list(inferencer._get_chunk_data(range(5), 2)) == [[0, 1], [2, 3], [4]]
    for name in ("b", "a"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / name).touch()
    folder = str(tmp_path / "folder")
    assert inferencer._inputs_to_list(folder) == [f"{folder}/a", f"{folder}/b"]
    with pytest.raises(ValueError, match="Lengths has no keyword 'size': its steps take factor, mark, offset, unit"):
        inferencer("a", size=1)


def test_an_inferencer_is_checked_when_it_is_defined_and_made(config: Config, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="preprocess_kwargs must be a set of names"):
        type("Bad", (Lengths,), {"preprocess_kwargs": {}})
    with pytest.raises(ValueError, match="forward_kwargs and visualize_kwargs must share no keyword, both have 'mark'"):
        type("Bad", (Lengths,), {"forward_kwargs": {"mark"}})
    with pytest.raises(ValueError, match="give model, a config, or weights that bring theirs"):
        Lengths()
    with pytest.raises(TypeError, match="model must be a config, its path, or the name of a model, got list"):
        Lengths([1])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"model\.pth brings no config: give model=CONFIG"):
        Lengths(weights=weights)
    with pytest.raises(ConfigError, match="the config has neither test_pipeline nor"):
        ActionRecogInferencer(Config({"model": config.model}), weights, "cpu")
    with pytest.raises(ConfigError, match="decodes no frames, so it takes no input_format='array'"):
        ActionRecogInferencer(Config({"model": config.model, "test_pipeline": PIPELINE[-1:]}), input_format="array")
    with pytest.raises(ValueError, match="input_format must be one of video, array, rawframes, got 'audio'"):
        InferencerPackInput("audio")
    built = INFERENCERS.build(dict(type="mmaction.ActionRecogInferencer", model=config, device="cpu"))
    assert isinstance(built, ActionRecogInferencer)


def test_models_are_known_by_the_names_of_their_configs_and_of_the_zoo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb"
    config, weights = named_model("TSN")
    assert config.model.backbone.depth == 50
    assert (weights or "").endswith(".pth")
    assert named_model(name)[1] == weights == named_model("tsn_r50")[1]
    assert name in list_names("tsn_.*rgb")
    with pytest.raises(ConfigError, match="neither a config file nor a model 'tsn_r5': did you mean"):
        named_model("tsn_r5")
    (tmp_path / "model-index.yml").write_text("Import: [metafile.yml, none.yml]")
    (tmp_path / "metafile.yml").write_text(
        "Models: [{Name: mine, Alias: [Tiny], Config: mine.py, Weights: 'https://host/mine.pth'}]"
    )
    (tmp_path / "mine.py").write_text("model = dict(type='A')\n")
    assert named_model("tiny")[0].model.type == "A"
    assert named_model("mine")[1] == "https://host/mine.pth"
    assert list_names("min") == ["mine"]


def test_weights_bring_their_config(tmp_path: Path, make_video: Callable[..., Path]) -> None:
    text = (
        "model = dict(type='Recognizer3D', backbone=dict(type='CompactNet3D', width=4),"
        " data_preprocessor=dict(type='ActionDataPreprocessor', format_shape='NCTHW'),"
        " cls_head=dict(type='I3DHead', num_classes=2, in_channels=16, average_clips='prob'))\n"
        f"test_pipeline = {PIPELINE!r}\n"
    )
    model = init_recognizer(Config.fromfile(_written(tmp_path / "c.py", text)), device="cpu")
    meta = {"cfg": text, "dataset_meta": {"classes": ("a", "b")}}
    torch.save({"state_dict": model.state_dict(), "meta": meta}, tmp_path / "m.pth")
    inferencer = ActionRecogInferencer(None, tmp_path / "m.pth", "cpu")  # type: ignore[arg-type]
    assert inferencer.model.dataset_meta == {"classes": ("a", "b")}
    assert len(inferencer(str(make_video(num_frames=6)))["predictions"][0]["pred_scores"]) == 2


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file
