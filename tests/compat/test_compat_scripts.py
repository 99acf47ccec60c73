"""Scripts of the kinds that MMAction2's users keep: demonstrations, training, tests and what reads their dumps."""

import argparse
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
import torch

CONFIG = """
model = dict(
    type="Recognizer3D",
    backbone=dict(type="CompactNet3D", width=4),
    cls_head=dict(type="I3DHead", num_classes=2, in_channels=16, average_clips="prob"),
    data_preprocessor=dict(type="ActionDataPreprocessor", mean=[128.0] * 3, std=[64.0] * 3, format_shape="NCTHW"),
)
test_pipeline = [
    dict(type="DecordInit"),
    dict(type="SampleFrames", clip_len=4, frame_interval=1, num_clips=1, test_mode=True),
    dict(type="DecordDecode"),
    dict(type="Resize", scale=(16, 16), keep_ratio=False),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]
shared = dict(type="VideoDataset", ann_file="list.txt", data_prefix=dict(video="."), pipeline=test_pipeline)
train_dataloader = dict(batch_size=2, sampler=dict(type="DefaultSampler", shuffle=True), dataset=shared)
val_dataloader = dict(batch_size=2, sampler=dict(type="DefaultSampler", shuffle=False), dataset=shared)
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type="AccMetric", metric_options=dict(top_k_accuracy=dict(topk=(1,))))
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2, val_begin=1, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(logger=dict(type="LoggerHook", interval=1), visualization=dict(type="VisualizationHook"))
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="ActionVisualizer", vis_backends=vis_backends)
log_processor = dict(type="LogProcessor", window_size=20, by_epoch=True)
default_scope = "mmaction"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_video: Callable[..., Path]) -> str:
    monkeypatch.chdir(tmp_path)
    names = [make_video(tmp_path / f"c{n}.mp4", num_frames=8 + n).name for n in range(4)]
    Path("list.txt").write_text("".join(f"{name} {place % 2}\n" for place, name in enumerate(names)))
    Path("config.py").write_text(CONFIG)
    return "config.py"


@pytest.mark.usefixtures("shim")
def test_a_demonstration_names_and_draws_the_best_classes(config: str) -> None:
    from mmaction.apis import MMAction2Inferencer, inference_recognizer, init_recognizer
    from mmaction.visualization import ActionVisualizer
    from mmengine import Config

    model = init_recognizer(Config.fromfile(config), device="cpu")
    video = Path("list.txt").read_text().split(" ", 1)[0]
    result = inference_recognizer(model, video)
    best = sorted(enumerate(result.pred_score.tolist()), key=itemgetter(1), reverse=True)
    assert best[0][0] == int(result.pred_label)
    visualizer = ActionVisualizer()
    visualizer.dataset_meta = {"classes": ["left", "right"]}
    visualizer.add_datasample(
        "demo", video, result, draw_gt=False, text_cfg={}, fps=30, out_type="gif", out_path="out/demo",
        target_resolution=(64, -1),
    )  # fmt: skip
    assert Path("out/demo.gif").is_file()
    torch.save({"state_dict": model.state_dict()}, "model.pth")
    inferencer = MMAction2Inferencer(rec=config, rec_weights="model.pth", device="cpu")
    assert inferencer(video, vid_out_dir="out")["predictions"][0]["rec_scores"][0] == result.pred_score.tolist()


@pytest.mark.usefixtures("shim")
def test_windows_of_a_long_video_go_through_the_rest_of_the_pipeline(config: str) -> None:
    import mmcv
    from mmaction.apis import init_recognizer
    from mmaction.utils import get_str_type
    from mmengine import Config
    from mmengine.dataset import Compose, pseudo_collate

    cfg = Config.fromfile(config)
    model = init_recognizer(cfg, device="cpu")
    sample = {"img_shape": None, "modality": "RGB", "label": -1}
    kept = []
    for step in cfg.test_pipeline:
        if "SampleFrames" in get_str_type(step["type"]):
            sample |= {"num_clips": step["num_clips"], "clip_len": step["clip_len"]}
        elif get_str_type(step["type"]) not in ("DecordInit", "DecordDecode"):
            kept.append(step)
    pipeline = Compose(kept)
    window: deque[np.ndarray] = deque(maxlen=sample["clip_len"])
    scores = []
    for frame in mmcv.VideoReader(Path("list.txt").read_text().split(" ", 1)[0]):
        window.append(frame[..., ::-1])
        if len(window) == window.maxlen:
            current = {**sample, "imgs": list(np.array(window)), "img_shape": frame.shape[:2]}
            with torch.no_grad():
                scores.append(model.test_step(pseudo_collate([pipeline(current)]))[0].pred_score)
    assert len(scores) == 5
    assert torch.allclose(torch.stack(scores).sum(dim=1), torch.ones(5))


def _run(arguments: argparse.Namespace):
    from mmengine.config import Config
    from mmengine.runner import Runner

    cfg = Config.fromfile(arguments.config)
    cfg.launcher = "none"
    cfg.work_dir = "work"
    cfg.merge_from_dict(arguments.cfg_options)
    if arguments.checkpoint is None:
        if arguments.amp:
            cfg.optim_wrapper.type = "AmpOptimWrapper"
            cfg.optim_wrapper.setdefault("loss_scale", "dynamic")
        cfg.auto_scale_lr.enable = True
        cfg.resume, cfg.load_from = arguments.resume, None
        cfg.randomness = dict(seed=0, diff_rank_seed=False, deterministic=False)
        return Runner.from_cfg(cfg).train()
    cfg.default_hooks.visualization.update(enable=True, show=False, out_dir="shown", interval=2)
    cfg.test_evaluator = [cfg.test_evaluator, dict(type="DumpResults", out_file_path="dump.pkl")]
    cfg.load_from = arguments.checkpoint
    return Runner.from_cfg(cfg).test()


@pytest.mark.slow
@pytest.mark.usefixtures("shim")
def test_a_training_is_resumed_tested_dumped_and_measured_from_its_dump(config: str) -> None:
    import mmengine
    from mmaction.evaluation import ConfusionMatrix
    from mmengine import Config
    from mmengine.evaluator import Evaluator

    arguments = {"config": config, "checkpoint": None, "amp": True, "resume": False}
    _run(argparse.Namespace(**arguments, cfg_options={"train_cfg.max_epochs": 1}))
    _run(argparse.Namespace(**arguments | {"resume": True}, cfg_options={}))
    lines = [line for line in Path("work/metrics.jsonl").read_text().splitlines() if '"train"' in line]
    assert len(lines) == 4
    assert '"lr": 0.05' in lines[0]  # 2 of 4 clips a batch
    assert Config.fromfile(Path("work", Path(config).name)).auto_scale_lr.enable is True
    metrics = _run(argparse.Namespace(**arguments | {"checkpoint": "work/checkpoints/step_00000004"}, cfg_options={}))
    assert sorted(folder.name for folder in Path("shown").iterdir()) == ["0_0", "2_0"]
    again = Evaluator(Config.fromfile(config).test_evaluator).offline_evaluate(mmengine.load("dump.pkl"), None)
    assert again == {name: metrics[name] for name in again} != {}
    (figures,), (log,) = Path("work").glob("20*/20*.json"), Path("work").glob("20*/20*.log")
    assert mmengine.load(figures)["acc/top1"] == metrics["acc/top1"]
    assert log.read_text().count("Epoch(test) [1/2]") == 1  # its progress, for jobs without a terminal
    assert Path("work/train.log").read_text().count("acc/top1") == 2  # a line a validation
    counts = Evaluator(ConfusionMatrix()).offline_evaluate(mmengine.load("dump.pkl"), None)
    assert int(counts["confusion_matrix/result"].trace()) == round(4 * metrics["acc/top1"])
